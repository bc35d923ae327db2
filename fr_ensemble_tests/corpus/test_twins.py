"""One clip under two names is found however it is disguised, and distinct clips never are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fr_ensemble_assets.corpus.identity import Corpus, canonical_order
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS, read_corpus
from fr_ensemble_assets.corpus.twins import Twins, find_twins, normal_name
from fr_ensemble_assets.foundation.schema import CANONICAL_6

Frame = pd.DataFrame
FEATURES = list(CANONICAL_6)


@pytest.fixture(scope="module")
def bundled() -> Frame:
    return read_corpus(BUNDLED_CORPUS).corpus.frame


def twins_of(frame: Frame) -> Twins:
    corpus = Corpus("0" * 64, canonical_order(frame))
    return find_twins(corpus.frame, corpus.sources, corpus.source_index)


def noisy(size: float, *columns: str) -> Callable[[Frame], Frame]:
    def disturb(rows: Frame) -> Frame:
        noise = np.random.default_rng(0).normal(0, size, (len(rows), len(columns)))
        return rows.assign(**{c: rows[c] + n for c, n in zip(columns, noise.T, strict=True)})

    return disturb


def without(column: str, *values: object) -> Callable[[Frame], Frame]:
    return lambda rows: rows[~rows[column].isin(values)]


def some_rows(rows: Frame) -> Frame:
    return rows.sample(frac=0.4, random_state=0)


def shifted(frames: int) -> Callable[[Frame], Frame]:
    """A cut that starts some frames later; its numbers begin at 0 again."""
    return lambda rows: rows[rows.frame_index >= frames].assign(
        frame_index=rows.frame_index - frames
    )


def other_encodes(rows: Frame) -> Frame:
    """Of an encoder that the original has not: only the motion, the reference's own, is left."""
    rest = noisy(0.05, *FEATURES[:5], "vmaf")(rows[rows.encoder == "libx264"])
    return rest.assign(encoder="h264_nvenc", vmaf=rest.vmaf.clip(0, 100))


#: Each is planted for every one of the bundled sources: how many of the 21 are found.
CERTAIN: dict[str, tuple[Callable[[Frame], Frame], int]] = {
    "the same rows": (lambda rows: rows, 21),
    "VMAF off by 1e-6": (lambda rows: rows.assign(vmaf=(rows.vmaf - 1e-6).clip(0)), 21),
    "other scores": (lambda rows: rows.assign(vmaf=50.0), 21),
    "noise of 1e-6": (noisy(1e-6, *FEATURES), 21),
    "noise of 1e-3": (noisy(1e-3, *FEATURES), 21),
    "some of the rows": (some_rows, 21),
    "some encoders": (without("encoder", "libx264", "libsvtav1"), 21),
    "some qualities": (without("cq", 19, 25, 31), 21),
    "other encodes": (other_encodes, 21),
    "other frame numbers": (lambda rows: rows.assign(frame_index=rows.frame_index + 1000), 21),
    "cut by 6 frames": (shifted(6), 21),
    "mirrored, so much brighter": (noisy(0.01, *FEATURES[:5]), 21),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_planted_twins_are_certain(bundled: Frame, name: str) -> None:
    disguise, expected = CERTAIN[name]
    found = 0
    for source, rows in bundled.groupby("src"):
        twins = twins_of(pd.concat([bundled, disguise(rows).assign(src="zz")]))
        found += [(t.one, t.other) for t in twins.certain] == [(source, "zz")]
        assert len(twins.certain) <= 1
    assert found >= expected


def test_distinct_clips_are_no_twins_however_little_is_there_of_them(bundled: Frame) -> None:
    parts = [
        bundled,
        *(rows for _, rows in bundled.groupby("encoder")),
        *(rows for _, rows in bundled.groupby("cq")),
        bundled[bundled.vmaf > 95],
        bundled[bundled.frame_index <= 9],
        bundled.assign(motion2=0.0),
        bundled.assign(motion2=bundled.motion2.round(2)),
        bundled.assign(**{feature: bundled[feature].round(2) for feature in FEATURES}),
        bundled.assign(**dict.fromkeys(FEATURES[:5], 1.0)),
    ]
    for part in parts:
        assert twins_of(part) == Twins((), (), searched=True)


def test_clip_that_stands_still_is_told_by_its_features(bundled: Frame) -> None:
    still = bundled.assign(motion2=0.0)
    copy = noisy(1e-3, *FEATURES[:5])(still[still.src == "city"]).assign(src="zz")
    (twin,) = twins_of(pd.concat([still, copy])).certain
    assert twin.describe() == "'zz' has the features of 'city' in the same encodes"


def test_what_moves_alike_is_likely(bundled: Frame) -> None:
    """Cropped: another part of the picture moves a little differently, and all else differs."""
    found = 0
    for source, rows in bundled.groupby("src"):
        frames = sorted(rows.frame_index.unique())
        draw = np.random.default_rng(1).normal(0, 0.05, len(frames))
        factor = dict(zip(frames, 0.8 * np.exp(draw), strict=True))
        cropped = other_encodes(rows).assign(src="zz")
        cropped["motion2"] *= cropped.frame_index.map(factor)
        twins = twins_of(pd.concat([bundled, cropped]))
        assert twins.certain == ()
        found += [(t.one, t.other) for t in twins.likely] == [(source, "zz")]
    assert found >= 17


def test_many_copies_are_each_told_once(bundled: Frame) -> None:
    rows = bundled[bundled.src == "city"]
    copies = [noisy(1e-6, *FEATURES)(rows).assign(src=f"zz{n}") for n in range(12)]
    twins = twins_of(pd.concat([bundled, *copies]))
    assert len(twins.certain) == 12
    assert twins.likely == ()


@pytest.mark.parametrize("other", ["BBB", " b b b ", "bbb.mkv", "b\u200bbb", "\uff42bb", "Bbb.Y4M"])
def test_names_that_a_person_takes_for_one_are_one(bundled: Frame, other: str) -> None:
    assert normal_name(other) == "bbb"
    renamed = bundled.assign(src=bundled.src.replace("vtest", other))
    (twin,) = twins_of(renamed).certain
    assert "but for case, white space or ending" in twin.describe()


@pytest.mark.parametrize("name", ["a.1", "a.2", "\u200b", ".mkv", "é", "ß"])
def test_other_names_stay_apart(name: str) -> None:
    assert normal_name(name) not in ("a", "b", "", "e")
