"""``recommend --clip``: which quality for my clip, measured."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fr_ensemble_assets.cli.app import (
    EXIT_FAILED,
    EXIT_HOLD,
    EXIT_INTERRUPTED,
    EXIT_PROMOTE,
    errors_in_one_sentence,
    file_to_write,
    named_path,
)
from fr_ensemble_assets.foundation.errors import UnusableInput

if TYPE_CHECKING:
    from upath import UPath

    from fr_ensemble_assets.prediction.planning import Planner, Question
    from fr_ensemble_assets.predictors.carried import Predictors
    from fr_ensemble_assets.predictors.plan import Planned

#: Endings for which ffmpeg knows a container, or the bare stream of one of our encoders.
_VIDEOS = frozenset(
    f".{ending}"
    for ending in (
        *("mp4", "m4v", "mov", "mkv", "webm", "ts", "avi", "nut", "ivf"),
        *("h264", "264", "hevc", "h265", "265", "obu", "vvc", "h266", "266"),
    )
)
_COLUMNS = (
    *("clip", "encoder", "preset", "target", "keeps", "quality", "vmaf", "bytes", "encodes"),
    *("why", "saving_left", "samples", "sample_seconds", "sampling_error", "problem", "ffmpeg"),
)


@dataclass(frozen=True)
class Asked:
    """What ``recommend --clip`` was asked for, as it was typed."""

    clip: str
    frames: str
    target: float
    encoders: str
    confidence: float
    max_encodes: int
    worthwhile_saving: float
    exact: bool
    keep: str
    plan_only: bool
    samples: int
    sample_seconds: float
    out: str
    ffmpeg: str
    workers: int
    candidate: str | None
    home: str | None
    as_json: bool


def recommend_clip(asked: Asked) -> int:
    """Answer, and return the exit code."""
    from fr_ensemble_assets.cli.printing.terminal import fail

    with errors_in_one_sentence():
        question = _question(asked)
        out = _table_file(asked.out)
        path = Path(asked.clip)
        try:
            return (
                _folder(asked, question, path, out)
                if path.is_dir()
                else _clip(asked, question, path, out)
            )
        except KeyboardInterrupt:
            kept = f", the answers so far are in {out}" if out is not None else ""
            fail(f"interrupted; no encode is kept{kept}.")
            raise typer.Exit(EXIT_INTERRUPTED) from None


def _question(asked: Asked) -> Question:
    from fr_ensemble_assets.clips.samples import Sampling
    from fr_ensemble_assets.prediction.planning import Question
    from fr_ensemble_assets.predictors.search import Options, require_target

    if not asked.clip:
        raise UnusableInput("recommend: expected --clip VIDEO or --frames ROWS, found neither.")
    if asked.frames:
        raise UnusableInput("recommend: expected --clip or --frames, found both.")
    require_target(asked.target)
    if asked.plan_only and asked.keep:
        raise UnusableInput(
            "--keep: expected no --plan-only beside it, found it; a plan makes no encode to keep."
        )
    _require_keepable(asked)
    return Question(
        target=asked.target,
        options=Options(asked.worthwhile_saving, asked.exact, asked.max_encodes, asked.confidence),
        sampling=Sampling(asked.samples, asked.sample_seconds),
        plan_only=asked.plan_only,
        whole=bool(asked.keep),
    )


def _require_keepable(asked: Asked) -> None:
    if not asked.keep:
        return
    target = Path(asked.keep)
    if Path(asked.clip).is_dir():
        raise UnusableInput(
            "--keep: expected one video as --clip, found a folder; ask clip by clip."
        )
    if target.suffix.lower() not in _VIDEOS:
        found = f"*{target.suffix}" if target.suffix else "no ending"
        raise UnusableInput(f"--keep {target}: expected a video such as out.mp4, found {found}.")
    file_to_write("--keep", asked.keep)
    if target.exists() and target.samefile(asked.clip):
        raise UnusableInput(f"--keep {target}: expected another file than the clip itself.")


def _table_file(out: str) -> UPath | None:
    if not out:
        return None
    if named_path("--out", out).suffix != ".csv":
        raise UnusableInput(f"--out {out}: expected a table named *.csv.")
    return file_to_write("--out", out)


def _clip(asked: Asked, question: Question, path: Path, out: UPath | None) -> int:
    from fr_ensemble_assets.cli.printing.planning import print_planned
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.terminal import err
    from fr_ensemble_assets.prediction.planning import Planner, keep
    from fr_ensemble_assets.predictors.plan import document, ranked

    source = _predictors(asked)
    planner = Planner.at_hand(question, asked.encoders, asked.ffmpeg, asked.workers, source)
    with planner:
        with watched() as progress:
            planned = ranked(planner.plan(path, progress))
        kept = ""
        if asked.keep and planned[0].keeps:
            keep(planner.ffmpeg, planned[0], Path(asked.keep))
            kept = asked.keep
    _tell_predictors(planner)
    _tell_level(planned)
    rows = [_row(one, path) for one in planned]
    if out is not None:
        _write(out, rows)
    print_planned(planned, kept, to_stderr=asked.as_json)
    if asked.keep and not kept:
        err.print(f"kept:      nothing, no encode keeps VMAF {asked.target:g}", markup=False)
    if asked.as_json:
        answers = {
            "clip": str(path),
            "kept": kept or None,
            "predictors": _told_predictors(planner),
            "answers": list(map(document, planned)),
        }
        sys.stdout.write(json.dumps(answers, indent=2, allow_nan=False) + "\n")
    return _code(planned)


def _folder(asked: Asked, question: Question, path: Path, out: UPath | None) -> int:
    from fr_ensemble_assets.cli.printing.progress import watched
    from fr_ensemble_assets.cli.printing.terminal import err, fail, stdout
    from fr_ensemble_assets.clips.inventory import clip_files
    from fr_ensemble_assets.prediction.planning import Planner, plan_folder
    from fr_ensemble_assets.predictors.plan import document, ranked

    files, ignored = clip_files([path])
    if not files:
        raise UnusableInput(
            f"{path}: expected videos, found {len(ignored)} other entries; name another folder."
        )
    rows: list[dict[str, Any]] = []
    say = err if asked.as_json else stdout()

    def heard(clip: Path, planned: Sequence[Planned], problem: str) -> None:
        for one in ranked(planned):
            rows.append(_row(one, clip))
            say.print(f"- {one.sentence}", markup=False)
        if problem:
            rows.append({"clip": str(clip), "target": asked.target, "problem": problem})
            fail(problem)
        if out is not None:
            _write(out, rows)

    source = _predictors(asked)
    planner = Planner.at_hand(question, asked.encoders, asked.ffmpeg, asked.workers, source)
    with planner, watched() as progress:
        planned, failed = plan_folder(planner, files, heard, progress)
    _tell_predictors(planner)
    _tell_level(planned)
    if out is not None:
        say.print(f"written:   {out} ({len(rows)} rows)", markup=False)
    if asked.as_json:
        answers = {
            "clips": len(files),
            "failed": failed,
            "predictors": _told_predictors(planner),
            "answers": list(map(document, planned)),
        }
        sys.stdout.write(json.dumps(answers, indent=2, allow_nan=False) + "\n")
    return EXIT_HOLD if failed else _code(planned)


def _code(planned: Sequence[Planned]) -> int:
    lower = any(p.expected and p.expected.level < p.expected.asked for p in planned)
    return EXIT_FAILED if lower else EXIT_PROMOTE


def _predictors(asked: Asked) -> Predictors:
    """Those of the candidate that was named, else of the current one, else the shipped ones."""
    from fr_ensemble_assets.cli.printing.terminal import note
    from fr_ensemble_assets.operations.candidates import chosen_candidate, has_any
    from fr_ensemble_assets.prediction.planning import SHIPPED

    if asked.candidate is None and not has_any(asked.home):
        return SHIPPED
    from fr_ensemble_assets.prediction.candidate import predictors_of

    try:
        return predictors_of(chosen_candidate(asked.candidate, asked.home))
    except UnusableInput as error:
        if asked.candidate is not None:
            raise
        note(f"the shipped predictors are asked, since the candidate can't be: {error}")
        return SHIPPED


def _told_predictors(planner: Planner) -> dict[str, str]:
    """By encoder, where its predictor came from."""
    source = planner.source
    return {
        encoder.name: source.origin if encoder.name in source.carried else "shipped"
        for encoder in planner.encoders
    }


def _tell_predictors(planner: Planner) -> None:
    """A predictor that the gate holds still searches: what it leads to is measured."""
    from fr_ensemble_assets.cli.printing.terminal import err, note

    carried = [e.name for e in planner.encoders if e.name in planner.source.carried]
    if carried:
        told = f"predictors of {', '.join(carried)}: from {planner.source.origin}"
        err.print(told, markup=False)
    for name, codec in planner.predictors.items():
        if not codec.verdict.passed:
            note(
                f"the predictor of {name} did not pass the gate "
                f"({'; '.join(codec.verdict.reasons)}), so its search may take more encodes; "
                "its answer is measured like any other"
            )


def _tell_level(planned: Sequence[Planned]) -> None:
    """A level that the sources can't carry is answered at another, and not in silence."""
    from fr_ensemble_assets.cli.printing.terminal import note

    lower = {one.encoder.name: one.expected for one in planned if one.expected}
    for name, answer in lower.items():
        if answer.level < answer.asked:
            note(
                f"the sources behind the predictor of {name} can't carry {answer.asked * 100:g} %; "
                f"its plan is at {answer.percent}, the highest that can be had"
            )


def _row(one: Planned, path: Path) -> dict[str, Any]:
    from fr_ensemble_assets.predictors.plan import document

    told = document(one) | {"clip": str(path)}
    if one.size is not None:
        told["bytes"] = round(one.size)
    return {name: told.get(name) for name in _COLUMNS}


def _write(out: UPath, rows: Sequence[dict[str, Any]]) -> None:
    from fr_ensemble_assets.foundation import store

    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    store.put(out, text.getvalue().encode())
