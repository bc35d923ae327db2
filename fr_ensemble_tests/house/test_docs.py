"""What README, CONTRIBUTING and docs/ show is there, and does what they say."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
import pytest
import typer.main
import yaml

from fr_ensemble_assets.card.render import CARD_FILES
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.definitions import defs
from fr_ensemble_assets.doors.groups import PREDICTORS_GROUP
from fr_ensemble_tests.conftest import Chain, Row, write_rows
from fr_ensemble_tests.fork import make_fork
from fr_ensemble_tests.video import MakeClip

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fr_ensemble_assets"
NAMED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = {
    str(page.relative_to(ROOT)): page.read_text()
    for page in (*(ROOT / name for name in NAMED), *sorted((ROOT / "docs").rglob("*.md")))
}
COMMANDS: click.Group = typer.main.get_command(app)  # type: ignore[assignment]
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
Script = tuple[str, ...]


def scripts() -> Iterator[Script]:
    """Each command of a console block by itself; the lines of a sh block together."""
    for page in PAGES.values():
        for kind, body in _BLOCK.findall(page):
            lines = [line.split("  #")[0].rstrip() for line in body.splitlines()]
            if kind == "console":
                yield from ((line[2:],) for line in lines if line.startswith("$ "))
            elif kind == "sh":
                yield tuple(line for line in lines if line)


def spans(page: str) -> list[str]:
    """Text set as code outside of blocks."""
    return [" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("", PAGES[page]))]


def calls() -> set[str]:
    """Every single command shown, wherever: ``a && b`` are two."""
    shown = {line for script in scripts() for line in script}
    shown |= {span for page in PAGES for span in spans(page)}
    return {call.strip() for line in shown for call in line.split("&&")}


def words_of(program: str) -> list[list[str]]:
    """The words after ``program`` in every call of it, without the signs of what is optional."""
    found = (shlex.split(call.translate(str.maketrans("", "", "[]"))) for call in sorted(calls()))
    return [words for first, *words in found if first.removeprefix(".venv/bin/") == program]


def options_of(command: click.Command) -> set[str]:
    named = (option for p in command.params for option in (*p.opts, *p.secondary_opts))
    return {"--help", *named}


def test_every_command_and_option_shown_exists() -> None:
    known = words_of("fr-ensemble")
    assert {words[0] for words in known if words} >= {"run", "generate", "gate", "ui", "backfill"}
    for words in known:
        if words and not words[0].startswith("-"):
            command = COMMANDS.commands[words[0]]
            unknown = {w for w in words if w.startswith("--")} - options_of(command)
            assert not unknown, (words[0], unknown)


def test_every_option_named_by_itself_is_one_of_some_command() -> None:
    every = set().union(*(options_of(command) for command in COMMANDS.commands.values()))
    alone = {word for call in calls() if call.startswith("--") for word in shlex.split(call)}
    assert {word for word in alone if word.startswith("--")} - every == set()


def test_every_command_and_setting_is_on_its_page() -> None:
    page = PAGES["docs/commands.md"]
    assert [name for name in COMMANDS.commands if f"`fr-ensemble {name}" not in page] == []
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    read = set(re.findall(r"\"(FR_ENSEMBLE_[A-Z_]*[A-Z])\"", code))
    assert len(read) >= 8
    assert [name for name in sorted(read) if f"`{name}`" not in page] == []


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120


def test_each_page_names_its_reader_first_and_the_index_names_each_page() -> None:
    index = PAGES["docs/README.md"]
    for page in (name for name in PAGES if name.startswith("docs/")):
        title, empty, first = PAGES[page].splitlines()[:3]
        assert title.startswith("# "), page
        assert (empty, first.startswith("For whoever ")) == ("", True), page
        link = page.removeprefix("docs/")
        assert f"]({link})" in index or link == "README.md", page


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {word for words in words_of("make") for word in words if "=" not in word}
    assert {"setup", "run", "ui", "test", "lint"} <= shown <= targets


def test_every_module_and_test_shown_exists() -> None:
    for words in words_of("python"):
        module, *arguments = words[words.index("-m") + 1 :]
        assert importlib.util.find_spec(module), words
        paths = [word for word in arguments if "/" in word]
        assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_exists(page: str) -> None:
    """A module by its path from the package, or by its name where many rooms have one."""
    named = {span for span in spans(page) if re.fullmatch(r"[\w./*-]+\.(py|toml|md)", span)}
    folders = (ROOT, PACKAGE, ROOT / "docs", (ROOT / page).parent)
    named -= {*CARD_FILES, "flip.patch.md"}  # written by the commands that the page shows
    assert [n for n in sorted(named) if not any(list(f.rglob(n)) for f in folders)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in _LINK.findall(_BLOCK.sub("", PAGES[page])):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, link


def test_architecture_lists_the_rooms_as_they_are() -> None:
    architecture = PAGES["docs/architecture.md"]
    before, tree = architecture.split("\nfr_ensemble_assets/")
    tree, after = tree.split("```", 1)
    listed = re.findall(r"^[├└]── ([\w.]+)/?", tree, re.MULTILINE)
    rooms = [p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists() or p.suffix == ".py"]
    assert sorted(listed) == sorted(set(rooms) - {"__init__.py"})
    assert [room for room in listed if room.removesuffix(".py") not in before + after] == []


def test_pre_commit_runs_what_make_lint_runs() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in settings["repos"] for hook in repo["hooks"]]
    called = [hook.removeprefix(".venv/bin/").removesuffix(" --force-exclude") for hook in hooks]
    (recipe,) = re.findall(r"^lint: setup\n\t@(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = [step.removeprefix("$(BIN)/").removesuffix(" .") for step in recipe.split(" && ")]
    assert called == wanted


# --- run --------------------------------------------------------------------------------------

#: What is run, with the exit code of each line and what it says. The candidate at hand has six
#: sources, which don't carry 95 %: predict and recommend answer lower, and exit 3.
RUN: dict[Script, tuple[tuple[int, ...], str]] = {
    ("fr-ensemble",): ((2,), "generate"),
    ("fr-ensemble status",): ((0,), "PROMOTE"),
    ("fr-ensemble clean",): ((0,), "its candidate"),
    ("fr-ensemble gate RESULTS_DIR [--json]",): ((0,), "verdict: PROMOTE"),
    ("fr-ensemble generate --help",): ((0,), "--qualities"),
    ("fr-ensemble generate --clips my_clips --out corpus.jsonl.gz --every 3",): (
        (0,),
        "20 of 20",
    ),
    ("fr-ensemble run --corpus broken.jsonl",): (
        (2,),
        "line 7: expected column 'vmaf' to be a number from 0 to 100, found the text '95'.",
    ),
    ("fr-ensemble recommend --frames probes.jsonl --target 92",): ((3,), "city with"),
    (
        "fr-ensemble predict --frames frames.jsonl --out scored.parquet",
        "fr-ensemble recommend --frames probes.jsonl --target 92 --confidence 0.95",
    ): ((3, 3), "city with"),
    (
        "fr-ensemble propose --tree ../vmaf --out flip.patch",
        'git -C ../vmaf apply --binary "$PWD/flip.patch"',
    ): ((0, 0), "flip.patch.md"),
}
#: What isn't, each with its reason.
NOT_RUN: dict[Script, str] = {
    (
        "openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
        "openssl ec -in key.pem -pubout -out key.pub",
        "fr-ensemble sign --key key.pem",
        "FR_ENSEMBLE_PUBLIC_KEY=key.pub fr-ensemble predict ...",
    ): "has an ellipsis: candidate/test_signing.py",
    ("make run",): "trains for a minute: test_cli.py, .ci/run",
    ("make ui",): "serves: operations/test_live_front.py",
    ("make mutants MUTANTS=gate/rule.py", "make mutants"): "takes minutes: test_mutants.py",
    ("fr-ensemble recommend --clip my.mkv --target 92 --keep best.mp4",): (
        "encodes for a minute: test_recommend_clip.py"
    ),
    ("make setup", "make lint", "make test", "make test-live"): "this very suite",
    ("fr-ensemble run --corpus my_corpus.jsonl.gz",): "trains: test_cli.py",
    ("fr-ensemble run --corpus corpus.jsonl.gz",): "trains: test_cli.py",
    ("fr-ensemble backfill --seeds 1,3",): "needs a daemon: test_backfill.py",
    tuple(
        f".venv/bin/python -m benchmarks.{name} FOLDER"
        for name in ("intervals", "other_seeds", "unseen", "recentring")
    ): "train 440 models",
    (
        "fr-ensemble generate --clips my_clips --cells cells.csv.gz "
        '--qualities "libx264=13-46:3;libsvtav1=19-63:4"',
    ): "encodes for minutes: cli/test_generate.py",
    ("fr-ensemble run --home s3://bucket/prefix --executor ray://HEAD:10001 --folds 21",): (
        "wants a cluster: training/test_ray.py, cluster/"
    ),
    ("export FR_ENSEMBLE_TOKEN=$(openssl rand -hex 16)",): "no command of ours",
    (
        "fr-ensemble ui --host 0.0.0.0 --host-name trainer.example",
    ): "serves: operations/test_live_front.py",
    ("export AWS_ENDPOINT_URL=https://s3.example AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…",): (
        "no command of ours"
    ),
    ("fr-ensemble run --home s3://frames/fr-ensemble",): "needs a bucket: cluster/",
    (
        "export FR_ENSEMBLE_DATABASE=postgresql://dagster@database.example:5432/dagster "
        "PGPASSWORD=…",
    ): "no command of ours",
    ("fr-ensemble ui",): "serves: cluster/test_deploying.py",
}


def test_every_block_shown_is_run_or_says_why_not() -> None:
    shown = set(scripts())
    assert shown - set(RUN) - set(NOT_RUN) == set()
    assert set(NOT_RUN) - shown == set()
    assert {line for script in RUN for line in script if "&&" not in line} - calls() == set()


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory,
    promoted_once: Chain,
    rows: list[Row],
    make_clip: MakeClip,
) -> Path:
    """A folder as the README has it: ``.venv``, a home after a PROMOTE, what else is named."""
    folder = tmp_path_factory.mktemp("docs") / "fr-ensemble"
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(promoted_once[0], folder / ".fr-ensemble")
    (results,) = (folder / ".fr-ensemble" / "store").glob("*/loso-*")
    shutil.copytree(results, folder / "RESULTS_DIR")
    city = [row for row in rows if row["src"] == "city"]
    for name in ("probes.jsonl", "frames.jsonl"):
        write_rows(folder / name, [{k: row[k] for k in row if k != "vmaf"} for row in city])
    write_rows(folder / "broken.jsonl", [*rows[:6], {**rows[6], "vmaf": "95"}, *rows[7:]])
    (folder / "my_clips").mkdir()
    make_clip(folder / "my_clips" / "clip.mkv")
    make_fork(folder.parent / "vmaf")
    return folder


@pytest.mark.parametrize("script", RUN, ids=lambda script: script[0].partition("fr-ensemble")[2])
def test_what_is_shown_runs_and_exits_as_said(checkout: Path, script: Script) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "FR_ENSEMBLE_HOME"}
    environment |= {"PATH": f"{checkout / '.venv' / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200"}
    codes, said = [], ""
    for line in script:
        ran = subprocess.run(
            ["bash", "-c", re.sub(r"\[[^]]*\]", "", line)],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        codes.append(ran.returncode)
        said += ran.stdout + ran.stderr
    expected, fragment = RUN[script]
    assert tuple(codes) == expected, said
    assert fragment in said


def test_page_of_assets_names_every_asset_of_the_ensemble_with_its_checks() -> None:
    graph = defs.resolve_asset_graph()
    blocking = {
        spec.key
        for checks in defs.asset_checks or ()
        for spec in checks.check_specs
        if spec.blocking
    }
    rows = re.findall(r"^\| (`.+`[^|]*) \|.*\|([^|]*)\|$", PAGES["docs/operating.md"], re.M)
    told = {
        dg.AssetKey(name): set(checks.strip().split(", ")) - {""}
        for names, checks in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    for key in graph.get_all_asset_keys():
        if graph.get(key).group_name == PREDICTORS_GROUP:
            continue  # docs/planning.md has these
        shown = {
            f"**{check.name}**" if check in blocking else check.name
            for check in graph.get_check_keys_for_assets({key})
        }
        assert told[key] == shown, key


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_benchmark_finds_what_it_imports(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")
