"""The model card's page as a person sees it, in light and dark, wide and narrow.

Where FR_ENSEMBLE_SCREENSHOTS names a folder, its pictures are taken into it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from fr_ensemble_assets.card.render import card_page
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.handover.cards import facts_for
from fr_ensemble_tests.conftest import Chain, run_chain

pytestmark = [pytest.mark.live, pytest.mark.browser]

_SCREENSHOTS = os.environ.get("FR_ENSEMBLE_SCREENSHOTS", "")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, promoted_once: Chain) -> Path:
    _, outcome = promoted_once
    if _SCREENSHOTS:
        outcome = run_chain(tmp_path_factory.mktemp("bundled") / "home", BUNDLED_CORPUS)
    assert outcome.candidate_dir is not None
    file = tmp_path_factory.mktemp("card") / "card.html"
    file.write_bytes(card_page(facts_for(outcome.candidate_dir)))
    return file


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
@pytest.mark.parametrize("width", [1280, 390])
def test_card_is_whole_in_both_schemes_and_never_wider_than_the_window(
    browser: Browser, page_file: Path, scheme: Literal["light", "dark"], dark: bool, width: int
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("requestfailed", lambda request: problems.append(request.url[:80]))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url[:30]))
    page.goto(page_file.as_uri())
    loaded = "images => images.map(i => i.complete && i.naturalWidth > 0)"
    assert page.eval_on_selector_all("img", loaded) == [True] * 3
    shown = page.eval_on_selector_all("img", "images => images.map(i => i.currentSrc.length)")
    first = page.eval_on_selector_all("img", "images => images.map(i => i.src.length)")
    assert (shown != first) is dark
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 24, 29)") is dark
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert problems == []
    if _SCREENSHOTS and width > 1000:
        page.screenshot(path=Path(_SCREENSHOTS) / f"model-card-{scheme}.png")
    page.close()
