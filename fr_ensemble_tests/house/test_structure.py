"""The shape of the code: which way imports run, what starts fast, what ships."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_run_one_way_and_only_doors_know_dagster() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
    assert "3 kept, 0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        (
            "fr_ensemble_assets.cli.main",
            ("dagster", "torch", "pandas", "scipy", "matplotlib", "pydantic"),
        ),
        ("fr_ensemble_assets.definitions", ("torch", "scipy", "matplotlib", "onnx", "pandera")),
        ("fr_ensemble_assets.members.build", ("dagster",)),
    ],
)
def test_import_spares_what_it_does_not_need(module: str, spared: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {spared!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"


def test_definitions_load_without_a_warning() -> None:
    code = "import fr_ensemble_assets.definitions"
    loaded = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    ours = [line for line in loaded.stderr.splitlines() if "fr_ensemble_assets" in line]
    assert ours == []
    assert "BetaWarning" not in loaded.stderr


def test_package_is_linted_formatted_and_typed() -> None:
    tools = Path(sys.executable).parent
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        ran = subprocess.run(
            [tools / command[0], *command[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_command_line_speaks_through_the_terminal_that_prints_what_prints() -> None:
    """A name from outside may hold what moves a cursor; one class takes that out."""
    cli = ROOT / "fr_ensemble_assets" / "cli"
    with_consoles = [path.name for path in cli.rglob("*.py") if "rich.console" in path.read_text()]
    assert with_consoles == ["terminal.py"]


def test_one_module_imports_what_dagster_keeps_private() -> None:
    package = ROOT / "fr_ensemble_assets"
    private = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for module in imported(path)
        if module.startswith("dagster") and "._" in module
    }
    assert private == {"doors/dagster_internals.py"}


def test_tests_lie_in_the_rooms_of_the_package() -> None:
    rooms = {path.stem for path in (ROOT / "fr_ensemble_assets").iterdir()}
    tests = {path.parent.name for path in (ROOT / "fr_ensemble_tests").rglob("test_*.py")}
    # What is about no single room, and the three suites that have a command of their own.
    assert tests - rooms == {"house", "attack", "mutants", "cluster"}


#: Methods of a path that make, read, move or remove a file by themselves.
_OF_A_PATH = {
    *("read_bytes", "read_text", "write_bytes", "write_text", "mkdir", "rmdir", "rename", "touch"),
    *("unlink", "symlink_to", "hardlink_to", "chmod"),
}
#: Functions of ``os`` and ``shutil`` that do so.
_OF_A_MODULE = {
    *("copy", "copy2", "copyfile", "copytree", "link", "makedirs", "mkdir", "move", "open"),
    *("remove", "rename", "replace", "rmdir", "rmtree", "symlink", "truncate", "unlink"),
}
#: Modules that do so, and on what: nothing of it is kept, or it is the store itself.
_PAST_THE_STORE = {
    "foundation/store.py": "the verbs",
    "foundation/files.py": "sweeps what killed processes of this machine left on its disks",
    "foundation/home.py": "makes the folders, and reads Dagster's settings in Dagster's home",
    "foundation/orchestration.py": "Dagster's settings in Dagster's home, for its owner alone",
    "foundation/notices.py": "appends to a log, and posts",
    "corpus/parsing.py": "reads others' files, piece by piece",
    "corpus/arrival_digest.py": "reads others' files, piece by piece",
    "corpus/arrivals.py": "reads the end of a file that may still be growing",
    "encodes/generate.py": "ffmpeg's scratch",
    "encodes/score.py": "ffmpeg's scratch",
    "cli/narrow.py": "writes lines of help, no file",
    "foundation/alone.py": "a lock, which is no more than a file",
    "foundation/destination.py": "tries whether --out can be written before hours of work",
    "predictors/arrivals.py": "reads the beginning of a file of others",
    "predictors/probe_features.py": "ffmpeg's scratch",
    "prediction/planning.py": "ffmpeg's scratch, and the encode that was asked for",
    "training/cluster.py": "reads its own code: nodes must have the same",
    "candidate/signing.py": "what cosign reads, in a temporary folder",
    "handover/export.py": "reads the part of itself that it hands on",
    "handover/patch.py": "reads the copy of a checkout that a patch was tried on",
    "handover/git.py": "what git reads, in a temporary folder",
    "operations/front/__main__.py": "reads its settings, in a temporary folder",
    "operations/front/service.py": "settings of a process, in a temporary folder",
    "operations/serving/lock.py": "a lock in Dagster's home, which needs a disk",
    "operations/serving/services.py": "logs, and settings in a temporary folder",
    "operations/serving/supervisor.py": "reads what services tell, in a temporary folder",
}


def test_nothing_kept_goes_past_the_store() -> None:
    package = ROOT / "fr_ensemble_assets"
    touching = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "kit" not in path.parts  # files for other people's machines
        if any(map(touches_files, ast.walk(ast.parse(path.read_text()))))
    }
    assert touching == set(_PAST_THE_STORE)


def touches_files(node: ast.AST) -> bool:
    """Whether ``node`` calls what opens, makes, moves or removes a file."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "open"
    if not isinstance(node.func, ast.Attribute):
        return False
    name, given = node.func.attr, len(node.args)
    if isinstance(node.func.value, ast.Name) and node.func.value.id in ("os", "shutil"):
        return name in _OF_A_MODULE
    # A home is opened without a mode, a path with one; of a text two things are replaced.
    by_arguments = (name == "open" and given > 0) or (name == "replace" and given == 1)
    return by_arguments or name in _OF_A_PATH


@pytest.mark.parametrize(
    ("code", "touching"),
    [
        ("path.open('rb')", True),
        ("open(path)", True),
        ("os.open(path, flags)", True),
        ("temporary.replace(path)", True),
        ("shutil.rmtree(folder)", True),
        ("(folder / name).write_bytes(data)", True),
        ("os.remove(path)", True),
        ("home.open()", False),
        ("values.copy()", False),
        ("text.replace('a', 'b')", False),
        ("replace(judgement, verdict_file=data)", False),
        ("store.put(path, data)", False),
    ],
)
def test_calls_that_touch_files_are_known_from_others(code: str, touching: bool) -> None:
    assert any(map(touches_files, ast.walk(ast.parse(code)))) == touching


def imported(path: Path) -> list[str]:
    """Every module that a file imports, wherever in it; of ``from a import b`` also ``a.b``."""
    modules = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return modules
