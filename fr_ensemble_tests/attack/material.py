"""The valid things that attacks start from: rows, a promoted home, clips."""

from __future__ import annotations

import gzip
import json
import multiprocessing as mp
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
SOURCES = frozenset({"bbb", "city", "dog", "ocean", "stream", "vtest"})


@dataclass(frozen=True)
class Material:
    """What lies in one folder.

    Attributes
    ----------
    root
        The folder.
    rows
        600 real rows of six sources, the corpus of the home.
    few
        120 of them, of three sources: enough for a reader.
    home
        In which this corpus was trained, judged and published; read, never written.
    """

    root: Path
    rows: tuple[Row, ...]
    few: tuple[Row, ...]
    home: Path

    @property
    def candidate(self) -> Path:
        (folder,) = (self.home / "candidates").iterdir()
        return folder

    @property
    def results(self) -> Path:
        (folder,) = self.home.glob("store/*/loso-200epochs-*")
        return folder

    @property
    def corpus_sha256(self) -> str:
        return self.results.parent.name

    @property
    def clips(self) -> Path:
        return self.root / "clips"


def small_rows(rows: list[Row]) -> list[Row]:
    return [r for r in rows if r["src"] in SOURCES and r["frame_index"] % 9 == 0]


def material_at(root: Path, home: str = "") -> Material:
    """Make what is missing under ``root``; a home at hand, with this corpus, spares the training.

    Training runs in a fork, so that this process stays without threads and can be forked itself.
    """
    from fr_ensemble_assets.corpus.reader import BUNDLED_CORPUS

    root.mkdir(parents=True, exist_ok=True)
    with gzip.open(str(BUNDLED_CORPUS), "rt") as handle:
        rows = small_rows([json.loads(line) for line in handle])
    few = [r for r in rows if r["src"] in {"bbb", "city", "dog"} and r["frame_index"] <= 9]
    made = Material(root, tuple(rows), tuple(few), root / "home")
    if home and not made.home.exists():
        shutil.copytree(home, made.home)
    for step in (_make_home, _make_clips):
        child = mp.get_context("fork").Process(target=step, args=(made,))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(f"the material could not be made: {step.__name__}")
    return made


def write_rows(path: Path, rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _make_home(made: Material) -> None:
    from upath import UPath

    from fr_ensemble_tests.conftest import run_chain

    if list(made.home.glob("candidates/*")):
        return
    corpus = write_rows(made.root / "corpus.jsonl", made.rows)
    outcome = run_chain(made.home, UPath(corpus))
    if outcome.candidate_dir is None:
        raise SystemExit("the seed corpus was not promoted")


#: Name, ffmpeg's source, its rate, and how it is written.
_CLIPS = (
    ("ffv1.mkv", "testsrc2=size=64x48:rate=25", ("-c:v", "ffv1", "-pix_fmt", "yuv420p")),
    ("plain.y4m", "mandelbrot=size=64x48:rate=25", ("-pix_fmt", "yuv420p")),
    ("x264.mp4", "testsrc=size=64x48:rate=30", ("-c:v", "libx264", "-pix_fmt", "yuv420p")),
    ("mpeg4.avi", "smptebars=size=64x48:rate=25", ("-c:v", "mpeg4")),
    ("x264.mov", "rgbtestsrc=size=64x48:rate=24", ("-c:v", "libx264", "-pix_fmt", "yuv420p")),
    ("raw.yuv", "testsrc2=size=64x48:rate=25", ("-f", "rawvideo", "-pix_fmt", "yuv420p")),
)
CLIP_FRAMES = 6


def _make_clips(made: Material) -> None:
    import subprocess

    from imageio_ffmpeg import get_ffmpeg_exe

    made.clips.mkdir(exist_ok=True)
    for name, source, how in _CLIPS:
        path = made.clips / name
        if not path.exists():
            words = ["-nostdin", "-y", "-loglevel", "error", "-f", "lavfi", "-i", source]
            command = [get_ffmpeg_exe(), *words, "-frames:v", str(CLIP_FRAMES), *how, str(path)]
            subprocess.run(command, check=True)
