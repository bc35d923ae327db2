"""The report as a person sees it, in light and dark, wide and narrow.

Where FR_ENSEMBLE_SCREENSHOTS names a folder, its pictures are taken into it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.operations.report import evidence_of
from fr_ensemble_assets.report.page import report_page
from fr_ensemble_tests.conftest import Chain, run_chain

pytestmark = [pytest.mark.live, pytest.mark.browser]

_SCREENSHOTS = os.environ.get("FR_ENSEMBLE_SCREENSHOTS", "")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, promoted_once: Chain) -> Path:
    folder = tmp_path_factory.mktemp("report")
    home, file = promoted_once[0], folder / "report.html"
    if _SCREENSHOTS:
        home = folder / "home"
        run_chain(home, BUNDLED_CORPUS)
    file.write_bytes(report_page(evidence_of(Home.at(home))))
    return file


@pytest.mark.parametrize(("scheme", "ground"), [("light", "255, 255, 255"), ("dark", "22, 24, 29")])
@pytest.mark.parametrize("width", [1280, 390])
def test_report_is_whole_in_both_schemes_and_never_wider_than_the_window(
    browser: Browser, page_file: Path, scheme: Literal["light", "dark"], ground: str, width: int
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url[:30]))
    page.goto(page_file.as_uri())
    loaded = "images => images.map(i => i.complete && i.naturalWidth > 0)"
    assert page.eval_on_selector_all("img", loaded) == [True]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({ground})"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_role("heading", name=re.compile("^PROMOTE: ")).is_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert problems == []
    if _SCREENSHOTS and width > 1000:
        page.screenshot(path=Path(_SCREENSHOTS) / f"report-{scheme}.png")
    page.close()
