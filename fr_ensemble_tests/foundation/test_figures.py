"""Plots as PNG."""

from __future__ import annotations

import io

from fr_ensemble_assets.foundation.figures import drawn_png, new_figure


def test_drawing_once_gives_the_bytes_that_savefig_gives() -> None:
    pictures = []
    for _ in range(2):
        figure, axes = new_figure(columns=2)
        for one in axes:
            one.plot([1, 2, 3], [10.0, 1000.0, 20.0], label="a label")
            one.set(title="a title", xlabel="x", ylabel="y", yscale="log")
            one.legend(loc="upper right")
        pictures.append(figure)
    saved = io.BytesIO()
    pictures[0].savefig(saved, format="png", dpi=100)
    assert drawn_png(pictures[1]) == saved.getvalue()
