"""The UI in a headless Chromium, behind its front, as a person sees it.

State is asserted through GraphQL.

Where FR_ENSEMBLE_SCREENSHOTS names a folder, the README's pictures are taken into it, from a run on
the bundled corpus.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from fr_ensemble_assets.card.render import card_address
from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS
from fr_ensemble_assets.definitions import defs
from fr_ensemble_assets.foundation.home import Home
from fr_ensemble_assets.foundation.progress import Silent
from fr_ensemble_assets.operations.in_process import execute
from fr_ensemble_assets.operations.instance import open_instance
from fr_ensemble_tests.conftest import Chain, Row, run_chain, write_rows
from fr_ensemble_tests.platform import Platform, platform

pytestmark = [pytest.mark.live, pytest.mark.browser]

_SCREENSHOTS = os.environ.get("FR_ENSEMBLE_SCREENSHOTS", "")
_PATIENCE_MS = 60_000
_CORPUS = """{ assetNodeOrError(assetKey: {path: ["corpus"]}) { ... on AssetNode {
  assetMaterializations(limit: 1) { runId metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }"""


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
    expect(page.get_by_text("fetching statuses")).to_have_count(0, timeout=_PATIENCE_MS)
    keep(page, "asset-graph")  # as it opens
    page.mouse.click(900, 930, button="right")  # on the canvas, beneath the graph
    page.get_by_text("Expand all groups").last.click(force=True)
    for key in keys:
        name = re.escape(key.to_user_string())
        shortened = f"{name[:5]}.+{name[-12:]}"  # as the graph draws long names
        shown = page.get_by_text(re.compile(f"^({name}|{shortened})$"))
        expect(shown.first).to_be_visible(timeout=_PATIENCE_MS)


def test_verdict_page_answers_in_a_plot(good: Platform, page: Page) -> None:
    page.goto(f"{good.address}/assets/ensemble_verdict?view=overview")
    expect(page.get_by_text("PROMOTE", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    page.get_by_text("[Show Markdown]").first.click()
    plot = page.locator("img[alt='all seeds']")
    expect(plot).to_be_visible()
    assert 700 < plot.evaluate("image => image.complete && image.naturalWidth") <= 980
    keep(page, "verdict-page")


def test_model_card_opens_by_its_link(good: Platform, page: Page) -> None:
    (candidate,) = Home.at(good.home).candidates.iterdir()
    page.goto(f"{good.address}/assets/registry_candidate?view=overview")
    link = page.locator(f"a[href$='{card_address(candidate.name)}']")
    expect(link.first).to_be_visible(timeout=_PATIENCE_MS)
    with page.expect_popup() as opened:
        link.first.click()
    card = opened.value
    expect(card.get_by_role("heading", level=1)).to_contain_text("fr_regressor_v2_ensemble_v1")
    assert card.eval_on_selector_all("img", "images => images.length") == 3
    card.close()


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


# --- the front, as browsers meet it --------------------------------------------------------------

_ATTACK = """async address => {
  const body = '{"query": "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"}';
  const tried = {};
  const attempt = async (name, options) => {
    try { tried[name] = (await fetch(address + '/graphql', options)).type; }
    catch (error) { tried[name] = 'refused'; }
  };
  await attempt('json', {method: 'POST', body, headers: {'Content-Type': 'application/json'}});
  await attempt('text', {method: 'POST', body, mode: 'no-cors'});
  tried.socket = await new Promise(done => {
    const socket = new WebSocket(address.replace('http', 'ws') + '/graphql', 'graphql-ws');
    socket.onopen = () => done('open');
    socket.onerror = () => done('refused');
  });
  tried.script = await new Promise(done => {
    const script = document.createElement('script');
    script.src = address + '/server_info';
    script.onload = () => done('loaded');
    script.onerror = () => done('refused');
    document.body.append(script);
  });
  return tried;
}"""


@contextmanager
def foreign_page(html: str) -> Iterator[str]:
    """A page of another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()


def test_logs_of_a_run_come_over_a_websocket(good: Platform, page: Page) -> None:
    frames: list[str | bytes] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)),
    )
    page.goto(f"{good.address}/runs/{good.runs()[0]['runId']}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=_PATIENCE_MS)
    assert any("pipelineRunLogs" in str(frame) for frame in frames)


def test_foreign_page_can_neither_command_nor_embed(good: Platform, page: Page) -> None:
    answers: list[int] = []
    page.on(
        "response",
        lambda found: answers.append(found.status) if good.address in found.url else None,
    )
    before = good.checks("ensemble_verdict")
    with foreign_page(f"<iframe src='{good.address}/'></iframe>") as address:
        page.goto(address)
        tried = page.evaluate(_ATTACK, good.address)
        assert tried == dict.fromkeys(("json", "text", "socket", "script"), "refused")
        inside = page.frames[1]
        assert inside.url.startswith("chrome-error:") or "Overview" not in inside.content()
    assert set(answers) <= {403, 405}
    assert answers
    assert good.checks("ensemble_verdict") == before


def test_token_opens_the_page_once_it_was_shown(
    tmp_path: Path, promoted_once: Chain, browser: Browser
) -> None:
    shutil.copytree(promoted_once[0], tmp_path / "home")
    with platform(tmp_path / "home", token="a-token-of-this-test") as served:
        page = browser.new_context().new_page()
        stranger = page.goto(f"{served.address}/assets/corpus")
        assert stranger is not None
        assert stranger.status == 401
        page.goto(f"{served.address}/assets/corpus?token=a-token-of-this-test")
        assert page.url == f"{served.address}/assets/corpus"
        expect(page.get_by_text("Materialize").first).to_be_visible(timeout=_PATIENCE_MS)
        assert "fr_ensemble" not in page.evaluate("document.cookie")
        page.context.close()


# --- names that come from files ------------------------------------------------------------------

_HOSTILE = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "[click](javascript:window.pwned=3)",
    "![seen](http://evil.example/seen.png)",
)


def test_names_of_sources_stay_text(tmp_path: Path, rows: list[Row], browser: Browser) -> None:
    """In tables, in plots, in what checks say, and in what a failed run says."""
    home = Home.at(tmp_path / "home")
    home.prepare()
    named = dict(zip(sorted({row["src"] for row in rows}), _HOSTILE, strict=False))
    hostile = [{**row, "src": named.get(row["src"], row["src"])} for row in rows]
    path = write_rows(tmp_path / "hostile.jsonl", hostile)
    with open_instance(home) as instance:
        config = {"corpus": {"config": {"path": str(path)}}}
        execute(instance, home, "train_seeds", [0], Silent(), ops=config, assets=["corpus"])
        execute(
            *(instance, home, "train_seeds", [0], Silent()),
            ops={"corpus": {"config": {"path": f"{tmp_path}/{_HOSTILE[1]}"}}},
            assets=["corpus"],
        )
    with platform(tmp_path / "home") as served:
        page = browser.new_page(viewport={"width": 1600, "height": 2000})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        failed = next(run for run in served.runs() if run["status"] == "FAILURE")
        for place, awaited in (
            ("assets/corpus?view=overview", "rows_a_source"),
            ("assets/corpus?view=checks&checkDetail=reference_sources", "reference_sources"),
            ("assets/corpus?view=events", "rows_a_source"),
            (f"runs/{failed['runId']}", "RUN_FAILURE"),
        ):
            page.goto(f"{served.address}/{place}")
            expect(page.get_by_text(awaited).first).to_be_visible(timeout=_PATIENCE_MS)
            page.wait_for_load_state("networkidle")
            told = page.locator("body").inner_text()
            for button in page.get_by_text(re.compile("Show (Table|Markdown)|View table")).all():
                button.click(force=True)
                page.wait_for_timeout(500)
                told += page.locator("body").inner_text()
                page.keyboard.press("Escape")
                page.wait_for_timeout(500)  # a box that is still closing would take the next click
            assert _HOSTILE[1] in told or "checks" in place, place
            assert page.evaluate("window.pwned") is None, place
            assert page.locator("a[href^='javascript:']").count() == 0, place
        assert [url for url in asked if "evil.example" in url] == []
        assert {url.split("/")[2] for url in asked if url.startswith("http")} == {
            served.address.removeprefix("http://")
        }
        page.close()
