"""``predict`` and ``recommend``: what a candidate says of frames that nobody has measured."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fr_ensemble_assets.cli.app import (
    EXIT_FAILED,
    EXIT_PROMOTE,
    CandidateOption,
    HomeOption,
    JsonOption,
    app,
    errors_in_one_sentence,
    named_path,
)
from fr_ensemble_assets.foundation.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fr_ensemble_assets.calibration.rules import Answer, Rule

FramesOption = Annotated[
    str,
    typer.Option(
        help="Frames to score, with a corpus' columns but vmaf: JSON Lines, gzipped or not, "
        "or Parquet."
    ),
]
ConfidenceOption = Annotated[
    float, typer.Option(help="Confidence of the intervals: 0.5 or more, below 1.")
]
RuleOption = Annotated[
    str,
    typer.Option(
        help="source: intervals hold for new sources. frame: only for frames like the corpus'. "
        "gaussian: no promise."
    ),
]
AllowLowerOption = Annotated[
    bool,
    typer.Option(
        "--allow-lower", help="Exit 0 even if the corpus supports only a lower confidence."
    ),
]


@app.command()
def predict(
    frames: FramesOption,
    out: Annotated[str, typer.Option(help="The file to write: *.jsonl, *.jsonl.gz or *.parquet.")],
    candidate: CandidateOption = None,
    confidence: ConfidenceOption = 0.95,
    rule: RuleOption = "source",
    allow_lower: AllowLowerOption = False,
    home: HomeOption = None,
) -> None:
    """Predict the VMAF of frames: `mu`, `sigma`, `lower`, `upper`, `extrapolates`.

    Few training sources support only a low confidence. If you ask for more, you get the highest
    one they support, a notice, and exit code 3 (0 with `--allow-lower`).
    """
    from fr_ensemble_assets.encodes.output import require_writable
    from fr_ensemble_assets.operations.candidates import chosen_candidate
    from fr_ensemble_assets.prediction.candidate import load_candidate
    from fr_ensemble_assets.prediction.frames import read_frames
    from fr_ensemble_assets.prediction.output import write_predictions
    from fr_ensemble_assets.prediction.predict import predict as predict_frames

    with errors_in_one_sentence():
        source, target = named_path("--frames", frames), named_path("--out", out)
        if Path(str(source)).resolve() == Path(str(target)).resolve():
            told = f"--out {out}: expected another file than --frames, found the same."
            raise UnusableInput(told)
        require_writable(target)
        chosen = load_candidate(chosen_candidate(candidate, home))
        found = predict_frames(chosen, read_frames(source), confidence, _rule(rule))
        write_predictions(target, found)
    _tell_unknown(found.unknown_encoders)
    beyond = int(found.extrapolates.sum())
    _say(f"{found.frames.n_rows} rows, {beyond} of them unlike the training frames: {target}")
    raise typer.Exit(_exit_code(found.answer, found.rule, allow_lower))


@app.command()
def recommend(
    target: Annotated[float, typer.Option(help="Mean VMAF that the encode has to keep.")],
    clip: Annotated[
        str, typer.Option(help="A video, or a folder of videos, to encode and score.")
    ] = "",
    frames: Annotated[
        str,
        typer.Option(help="Frames of encodes made before, as in a corpus: JSON Lines or Parquet."),
    ] = "",
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="With --clip: libx264, …; may be repeated [default: every encoder found]"
        ),
    ] = None,
    max_encodes: Annotated[
        int, typer.Option(help="With --clip: most encodes to make with each encoder.")
    ] = 4,
    worthwhile_saving: Annotated[
        float,
        typer.Option(help="With --clip: stop once another encode would save less than this share."),
    ] = 0.08,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="With --clip: stop only once the next quality misses the target."
        ),
    ] = False,
    keep: Annotated[
        str,
        typer.Option(help="With --clip: write the smallest encode that keeps the target here."),
    ] = "",
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="With --clip: make one encode, then predict.")
    ] = False,
    samples: Annotated[
        int,
        typer.Option(help="With --clip: how many samples of a long clip to take; 0 for all of it."),
    ] = 5,
    sample_seconds: Annotated[
        float, typer.Option(help="With --clip: seconds of each sample.")
    ] = 4.0,
    out: Annotated[str, typer.Option(help="With --clip: the table to write, *.csv.")] = "",
    ffmpeg: Annotated[
        str, typer.Option(help="With --clip: an ffmpeg with libvmaf, by path or from PATH.")
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="With --clip: processes at a time; 0 for one per core.")
    ] = 0,
    candidate: CandidateOption = None,
    confidence: ConfidenceOption = 0.95,
    rule: RuleOption = "source",
    allow_lower: AllowLowerOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the largest CRF, QP or CQ of each encoder that keeps the target VMAF.

    `--clip` encodes a video a few times and scores each encode, so the answer is measured. It needs
    no candidate; where the current one has a predictor of the codec, that one is asked. `--frames`
    asks the candidate about encodes made before.

    **Exit codes**: 0 answered, even if no quality keeps the target; 1 some clips of a folder
    failed; 2 unusable input; 3 answered at a lower confidence than asked for (0 with
    `--allow-lower`).
    """
    if clip or not frames:
        from fr_ensemble_assets.cli.plan import Asked, recommend_clip

        asked = Asked(
            clip=clip,
            frames=frames,
            target=target,
            encoders=",".join(encoder or ()),
            confidence=confidence,
            max_encodes=max_encodes,
            worthwhile_saving=worthwhile_saving,
            exact=exact,
            keep=keep,
            plan_only=plan_only,
            samples=samples,
            sample_seconds=sample_seconds,
            out=out,
            ffmpeg=ffmpeg,
            workers=workers,
            candidate=candidate,
            home=home,
            as_json=as_json,
        )
        code = recommend_clip(asked)
        raise typer.Exit(EXIT_PROMOTE if code == EXIT_FAILED and allow_lower else code)
    from fr_ensemble_assets.cli.printing.recommending import print_recommendations
    from fr_ensemble_assets.operations.candidates import chosen_candidate
    from fr_ensemble_assets.prediction.candidate import load_candidate
    from fr_ensemble_assets.prediction.frames import read_frames
    from fr_ensemble_assets.prediction.recommend import recommend as recommend_qualities
    from fr_ensemble_assets.prediction.recommend_document import recommendations_document

    with errors_in_one_sentence():
        source = named_path("--frames", frames)
        _require_no_video(frames, target)
        chosen = load_candidate(chosen_candidate(candidate, home))
        found = recommend_qualities(chosen, read_frames(source), target, confidence, _rule(rule))
    _tell_unknown(found.unknown_encoders)
    print_recommendations(found, to_stderr=as_json)
    if as_json:
        document = recommendations_document(found)
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    raise typer.Exit(_exit_code(found.answer, found.rule, allow_lower, told=True))


def _require_no_video(frames: str, target: float) -> None:
    from fr_ensemble_assets.clips.clip import SUFFIXES

    if Path(frames).suffix.lower() in SUFFIXES:
        raise UnusableInput(
            f"{frames}: expected rows of frames, found a video; ask about it with "
            f"fr-ensemble recommend --clip {shlex.quote(frames)} --target {target:g}"
        )


def _rule(text: str) -> Rule:
    from fr_ensemble_assets.calibration.rules import RULES

    for rule in RULES:
        if rule == text:
            return rule
    raise UnusableInput(f"--rule: expected one of {', '.join(RULES)}, found '{text}'.")


def _tell_unknown(encoders: Mapping[str, int]) -> None:
    from fr_ensemble_assets.cli.printing.terminal import note

    if encoders:
        listed = ", ".join(f"{name} ({rows} rows)" for name, rows in encoders.items())
        note(f"encoders outside the vocabulary are scored as 'unknown': {listed}")


def _exit_code(answer: Answer, rule: Rule, allow_lower: bool, told: bool = False) -> int:
    from fr_ensemble_assets.cli.printing.terminal import note

    if answer.supported:
        return EXIT_PROMOTE
    if not told:
        note(
            f"this corpus does not support {answer.asked:.10g} by rule {rule}; "
            f"the intervals are at {answer.level:.4f}, the highest it supports"
        )
    return EXIT_PROMOTE if allow_lower else EXIT_FAILED


def _say(text: str) -> None:
    from fr_ensemble_assets.cli.printing.terminal import err

    err.print(text, markup=False)
