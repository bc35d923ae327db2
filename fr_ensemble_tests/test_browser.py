"""The UI in a headless Chromium, as a person sees it; state is asserted through GraphQL.

Where FR_ENSEMBLE_SCREENSHOTS names a folder, the README's pictures are taken into it, from a run on
the bundled corpus.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.definitions import defs
from fr_ensemble_tests.conftest import Chain, run_chain
from fr_ensemble_tests.platform import Platform, platform

pytestmark = [pytest.mark.live, pytest.mark.browser]

_SCREENSHOTS = os.environ.get("FR_ENSEMBLE_SCREENSHOTS", "")
_PATIENCE_MS = 60_000
_CORPUS = """{ assetNodeOrError(assetKey: {path: ["corpus"]}) { ... on AssetNode {
  assetMaterializations(limit: 1) { runId metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }"""


@pytest.fixture(scope="module")
def browser(promoted_once: Chain, held_once: Chain) -> Iterator[Browser]:
    """Started after the chains: Playwright's event loop and Dagster's get into each other's way."""
    del promoted_once, held_once
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.fail("expected Chromium on PATH, found none; `apt-get install chromium`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1600, "height": 1000})
    opened.set_default_timeout(_PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, promoted_once: Chain) -> Iterator[Platform]:
    """The UI over a home in which the chain ran to a candidate."""
    home = tmp_path_factory.mktemp("good") / "home"
    if _SCREENSHOTS:
        run_chain(home, BUNDLED_CORPUS)
    else:
        shutil.copytree(promoted_once[0], home)
    with platform(home) as served:
        yield served


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory, held_once: Chain) -> Iterator[Platform]:
    """The UI over a home in which a shuffled corpus was held."""
    home = tmp_path_factory.mktemp("failing") / "home"
    shutil.copytree(held_once[0], home)
    with platform(home) as served:
        yield served


def keep(page: Page, name: str) -> None:
    if _SCREENSHOTS:
        page.wait_for_timeout(1500)  # animations end
        page.screenshot(path=Path(_SCREENSHOTS) / f"{name}.png")


def test_graph_shows_every_asset_in_its_group(good: Platform, page: Page) -> None:
    page.goto(f"{good.address}/asset-groups")
    graph = defs.resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    for group in {graph.get(key).group_name for key in keys}:
        expect(page.get_by_text(str(group), exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    page.mouse.click(900, 930, button="right")  # on the canvas, beneath the graph
    page.get_by_text("Expand all groups").last.click(force=True)
    for key in keys:
        name = re.escape(key.to_user_string())
        shortened = f"{name[:5]}.+{name[-12:]}"  # as the graph draws long names
        shown = page.get_by_text(re.compile(f"^({name}|{shortened})$"))
        expect(shown.first).to_be_visible(timeout=_PATIENCE_MS)
    keep(page, "asset-graph")


def test_verdict_page_answers_in_a_plot(good: Platform, page: Page) -> None:
    page.goto(f"{good.address}/assets/ensemble_verdict?view=overview")
    expect(page.get_by_text("PROMOTE", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    page.get_by_text("Show Markdown").first.click()
    plot = page.locator("img[alt='all seeds']")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 1000
    keep(page, "verdict-page")


def test_checks_of_a_good_corpus_are_green(good: Platform, page: Page) -> None:
    page.goto(f"{good.address}/assets/ensemble_verdict?view=checks")
    for name in ("all_seeds", "mean_plcc", "plcc_spread", "per_seed_plcc"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
        assert good.checks("ensemble_verdict")[name][0]
    assert page.get_by_text("Failed", exact=True).count() == 0


def test_checks_of_a_failing_corpus_are_red_and_say_why(failing: Platform, page: Page) -> None:
    passed, reason = failing.checks("ensemble_verdict")["mean_plcc"]
    assert not passed
    page.goto(f"{failing.address}/assets/ensemble_verdict?view=checks&checkDetail=mean_plcc")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    expect(page.get_by_text(reason).first).to_be_visible()
    keep(page, "checks-red")


def test_corpus_is_materialised_by_a_click(failing: Platform, page: Page) -> None:
    """In the home whose last corpus was held: the bundled one becomes the newest."""

    def materialised() -> dict[str, object]:
        (newest,) = failing.graphql(_CORPUS)["assetNodeOrError"]["assetMaterializations"]
        return {entry["label"]: entry.get("intValue") for entry in newest["metadataEntries"]}

    assert materialised()["dagster/row_count"] == 120
    page.goto(f"{failing.address}/assets/corpus")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Confirm").click()  # without clips there are no shards
    failing.wait_for(
        lambda: materialised()["dagster/row_count"] == 5880, "the bundled corpus is materialised"
    )
    page.goto(f"{failing.address}/assets/corpus?view=overview")
    expect(page.get_by_text("5,880").first).to_be_visible(timeout=_PATIENCE_MS)
    assert all(passed for passed, _ in failing.checks("corpus").values())
