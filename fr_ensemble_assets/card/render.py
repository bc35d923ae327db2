"""The card as ``MODEL_CARD.md`` with three plots, and as one page that needs nothing beside it."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

from fr_ensemble_assets.calibration.rules import highest_source_level
from fr_ensemble_assets.card import words
from fr_ensemble_assets.card.facts import FACTS_FILE, Facts, facts_bytes
from fr_ensemble_assets.card.plots import card_plots
from fr_ensemble_assets.members.consumers import LICENSE

if TYPE_CHECKING:
    from jinja2 import Environment

CARD_FILE = "MODEL_CARD.md"
#: Everything that a candidate holds of its card.
CARD_FILES = (
    CARD_FILE,
    FACTS_FILE,
    "model_card_encodes.png",
    "model_card_intervals.png",
    "model_card_sources.png",
)

#: Where the platform's own web server shows a candidate's card as a page.
CARD_PLACE = "/card/"


def card_address(candidate: str) -> str:
    """The address of a candidate's card, by the name of its folder."""
    return f"{CARD_PLACE}{candidate}"


def card_files(facts: Facts) -> dict[str, bytes]:
    """The card's files by name: text, plots, and the facts that all of it was made from."""
    text = {CARD_FILE: card_text(facts).encode(), FACTS_FILE: facts_bytes(facts)}
    return text | card_plots(facts)


def card_text(facts: Facts) -> str:
    """The card in Markdown (Mitchell et al. 2019; ADR-0042's five points)."""
    sizes = sorted({clip.size for clip in facts.clips if clip.size})
    text = _templates().get_template("MODEL_CARD.md.j2")
    return text.render(
        facts=facts,
        w=words,
        license=LICENSE,
        highest=highest_source_level(len(facts.sources)),
        sizes=", ".join(sizes),
    )


def card_page(facts: Facts) -> bytes:
    """The same as one HTML page: no other file, no script, light and dark as the reader has it."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    # Names come from outside: Markdown's own HTML is shown, not obeyed.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = markdown.render(card_text(facts).split("\n", 1)[1])
    body = body.replace("<table>", '<div class="table"><table>')
    body = body.replace("</table>", "</table></div>")
    light, dark = card_plots(facts, "light"), card_plots(facts, "dark")
    for name in light:
        body = body.replace(
            f'<img src="{name}"',
            "<picture>"
            f'<source media="(prefers-color-scheme: dark)" srcset="{_inline(dark[name])}">'
            f'<img src="{_inline(light[name])}"',
        )
    body = body.replace(" /></p>", "></picture></p>")
    page = _templates().get_template("card.html.j2")
    return page.render(facts=facts, w=words, body=Markup(body)).encode()


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("fr_ensemble_assets.card"),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        keep_trailing_newline=True,
    )
    made.filters["cell"] = _cell
    return made


def _cell(text: str) -> str:
    """Text from outside within a cell of a table: on one line, and no end of the cell."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("|", "\\|")
