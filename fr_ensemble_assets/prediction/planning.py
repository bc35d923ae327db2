"""Which quality for my clip? Encodes, scores and asks the predictors in between.

Nothing here knows Dagster or torch: an answer begins at once, and works from a notebook.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from fr_ensemble_assets.clips.clip import RAW_SUFFIX, Clip, read_clip
from fr_ensemble_assets.clips.ffmpeg import Children, Ffmpeg, find_ffmpeg
from fr_ensemble_assets.clips.samples import Sampling, cut, seconds_of
from fr_ensemble_assets.encodes.encoders import Encoder, usable_encoders
from fr_ensemble_assets.encodes.grid import Cell
from fr_ensemble_assets.encodes.score import (
    PROGRESS_FILE,
    Failed,
    Scored,
    encode_in,
    encoding_arguments,
)
from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import temporary_name
from fr_ensemble_assets.foundation.progress import Progress, Shares, StepReport, report_nothing
from fr_ensemble_assets.foundation.trouble import trouble_behind
from fr_ensemble_assets.predictors.carried import Predictors
from fr_ensemble_assets.predictors.ladders import scored_features
from fr_ensemble_assets.predictors.model import Probe
from fr_ensemble_assets.predictors.plan import (
    Made,
    Planned,
    expected,
    sampling_error,
    search,
)
from fr_ensemble_assets.predictors.pooling import pooled
from fr_ensemble_assets.predictors.search import Options
from fr_ensemble_assets.predictors.shipped import CodecPredictor, require_known

#: The predictors that come with the package.
SHIPPED = Predictors()
_LOOK_EVERY_S = 0.5
#: How often a sampled answer that the whole clip misses is searched for again.
_WHOLE_TRIES = 2


@dataclass(frozen=True)
class Question:
    """What is asked of each clip.

    Attributes
    ----------
    target
        VMAF, 0..100, of the encode's mean.
    options
        How far a search goes.
    sampling
        How clips that are long are sampled.
    plan_only
        Stop after one probe.
    whole
        Encode the whole clip at an answer that was found in samples.
    """

    target: float
    options: Options = field(default_factory=Options)
    sampling: Sampling = field(default_factory=Sampling)
    plan_only: bool = False
    whole: bool = False


class Planner:
    """Answers questions about clips; a context, whose end leaves neither ffmpeg nor encodes.

    >>> with Planner.at_hand(Question(target=92), encoders="libx264") as planner:
    ...     (planned,) = planner.plan(Path("my.mkv"))
    >>> print(planned.sentence)
    """

    def __init__(
        self,
        ffmpeg: Ffmpeg,
        encoders: Sequence[Encoder],
        question: Question,
        workers: int = 0,
        source: Predictors = SHIPPED,
    ) -> None:
        self.ffmpeg, self.encoders, self.question = ffmpeg, tuple(encoders), question
        self._workers = workers or cores()
        self.source = source

    @classmethod
    def at_hand(
        cls,
        question: Question,
        encoders: str = "",
        ffmpeg: str = "",
        workers: int = 0,
        source: Predictors = SHIPPED,
    ) -> Planner:
        """With the encoders named, else with all software encoders that there are predictors for.

        Raises
        ------
        UnusableInput
            If an encoder is unknown, not compiled in, or has no predictor; if ffmpeg can't score.
        """
        found = find_ffmpeg(ffmpeg)
        found.require_libvmaf()
        usable = usable_encoders(found, encoders, option="--encoder")
        require_known([encoder.name for encoder in usable], source.known)
        return cls(found, usable, question, workers, source)

    def __enter__(self) -> Planner:
        self._children = Children().__enter__()
        self._folder = tempfile.TemporaryDirectory(prefix=temporary_name(""))
        self._pool = ThreadPoolExecutor(self._workers)
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def forget(self) -> None:
        """Remove the encodes of the clips that were planned so far."""
        for entry in Path(self._folder.name).iterdir():
            shutil.rmtree(entry, ignore_errors=True)

    @cached_property
    def predictors(self) -> Mapping[str, CodecPredictor]:
        """By encoder, fitted when first asked for."""
        return {encoder.name: self.source.of(encoder.name) for encoder in self.encoders}

    def plan(self, path: Path, progress: Progress | None = None) -> tuple[Planned, ...]:
        """The answer for each encoder, in their order; encodes lie in a folder until the end.

        Raises
        ------
        UnusableInput
            If the file is no clip that can be encoded and scored, or an encode of it fails.
        """
        if path.suffix.lower() == RAW_SUFFIX:
            raise UnusableInput(
                f"{path}: expected a clip that says its size and rate itself, found raw video; "
                "put it into a container first (Y4M, or FFV1 in Matroska)."
            )
        found = store.found_at(path)
        if found != "a file":
            raise UnusableInput(f"{path}: expected a clip, found {found}.")
        work = _Work(self, path, Path(tempfile.mkdtemp(dir=self._folder.name)), progress)
        # Fitted while the first clip is looked into, not by several threads at once.
        assert self.predictors
        with ThreadPoolExecutor(len(self.encoders)) as searches:
            found_by = [searches.submit(work.plan, encoder) for encoder in self.encoders]
            try:
                wait(found_by)
                return tuple(future.result() for future in found_by)
            except BaseException:
                self._children.close()
                raise


class _Work:
    """One clip: its samples, and encodes of them."""

    def __init__(self, owner: Planner, path: Path, folder: Path, progress: Progress | None) -> None:
        self._owner, self._path, self._folder, self._progress = owner, path, folder, progress
        ffmpeg, children = owner.ffmpeg, owner._children
        sampling = owner.question.sampling
        self._seconds = seconds_of(ffmpeg, children, path)
        self._sampled = sampling.samples(self._seconds)
        if self._sampled:
            assert self._seconds is not None
            self.clips = cut(ffmpeg, children, path, sampling, self._seconds, folder)
        else:
            self.clips = (read_clip(ffmpeg, children, path, None),)

    def plan(self, encoder: Encoder) -> Planned:
        question = self._owner.question
        codec = self._owner.predictors[encoder.name]
        options = question.options
        if question.plan_only:
            return self._plan_only(encoder, codec)
        made, answer = search(
            codec.predictor, question.target, options, lambda q: self._make(encoder, q, self.clips)
        )
        chosen = next((m for m in made if answer.probe and m.quality == answer.probe.quality), None)
        planned = self._planned(encoder, made, chosen)
        planned = replace(planned, answer=answer)
        if chosen is None or not (self._sampled and question.whole):
            return planned
        return self._in_whole(planned, codec)

    def _plan_only(self, encoder: Encoder, codec: CodecPredictor) -> Planned:
        question = self._owner.question
        once = replace(question.options, max_encodes=1)
        made, _ = search(
            codec.predictor, question.target, once, lambda q: self._make(encoder, q, self.clips)
        )
        confidence = question.options.confidence
        answer = codec.half_width(confidence)
        half, level = (answer.quantile, answer.level) if answer else (100.0, 0.5)
        plan = expected(codec.predictor, question.target, made[0], half, level, confidence)
        planned = self._planned(encoder, made, None)
        line = self._line(encoder, plan.likely.quality) if plan.likely else ""
        return replace(planned, expected=plan, line=line)

    def _in_whole(self, planned: Planned, codec: CodecPredictor) -> Planned:
        """Encode the whole clip at the answer; again, finer, where it misses what samples kept."""
        ffmpeg, children = self._owner.ffmpeg, self._owner._children
        question, encoder = self._owner.question, planned.encoder
        clip = read_clip(ffmpeg, children, self._path, None)
        for left in range(_WHOLE_TRIES, 0, -1):
            chosen = planned.chosen
            assert chosen is not None
            whole = self._make(encoder, chosen.quality, (clip,))
            planned = replace(planned, whole=whole, size=float(whole.size))
            if planned.keeps or left == 1:
                break
            off = chosen.vmaf - whole.vmaf
            more = replace(question.options, max_encodes=question.options.max_encodes + 2)
            made, answer = search(
                codec.predictor,
                min(question.target + off, 100.0),
                more,
                lambda q: self._make(encoder, q, self.clips),
                planned.made,
            )
            finer = next((m for m in made if answer.probe and m.probe == answer.probe), None)
            if finer is None or finer.quality >= chosen.quality:
                break
            line = self._line(encoder, finer.quality)
            planned = replace(planned, made=made, answer=answer, chosen=finer, line=line)
        return planned

    def _planned(self, encoder: Encoder, made: tuple[Made, ...], chosen: Made | None) -> Planned:
        question = self._owner.question
        seconds = question.sampling.seconds if self._sampled else 0.0
        error = (
            sampling_error(chosen.by_sample, question.options.confidence)
            if chosen and self._sampled
            else 0.0
        )
        return Planned(
            src=self._path.stem,
            encoder=encoder,
            target=question.target,
            made=made,
            answer=None,
            chosen=chosen,
            size=self._whole_size(chosen) if chosen else None,
            sampled=seconds,
            sampling_error=error,
            line=self._line(encoder, chosen.quality) if chosen else "",
        )

    def _whole_size(self, made: Made) -> float:
        if not self._sampled:
            return float(made.size)
        assert self._seconds is not None
        sampling = self._owner.question.sampling
        return made.size * self._seconds / (sampling.count * sampling.seconds)

    def _make(self, encoder: Encoder, quality: float, clips: Sequence[Clip]) -> Made:
        """Encode all of ``clips``, side by side as far as there are workers, and pool them."""
        name = f"{self._path.stem} {encoder.name} {quality:g}"
        report = self._progress.report(name) if self._progress else report_nothing
        shares = Shares(len(clips), report)
        cells = [Cell(clip, encoder, quality, clip.frames) for clip in clips]
        futures: list[Future[tuple[Scored, Path]]] = [
            self._owner._pool.submit(self._encode, cell, shares.report(number))
            for number, cell in enumerate(cells)
        ]
        done = [future.result() for future in futures]
        parts = [scored for scored, _ in done]
        row = pooled(parts)
        features = scored_features(pd.DataFrame([row]))[0]
        return Made(
            probe=Probe(quality, float(row["vmaf"] or 0.0), features),
            size=sum(part.enc_bytes for part in parts),
            by_sample=tuple(sum(part.vmaf) / len(part.vmaf) for part in parts),
            files=tuple(path for _, path in done),
        )

    def _encode(self, cell: Cell, report: StepReport) -> tuple[Scored, Path]:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with _watched(folder / PROGRESS_FILE, cell.frames, report):
            outcome, path = encode_in(self._owner.ffmpeg, self._owner._children, cell, folder)
        if isinstance(outcome, Failed):
            raise UnusableInput(
                f"{self._path}: expected a clip that {cell.encoder.name} can encode at "
                f"{cell.quality:g}, found that it can't: {outcome.reason}"
            )
        return outcome, path

    def _line(self, encoder: Encoder, quality: float) -> str:
        clip = self.clips[0]
        cell = Cell(clip, encoder, quality, clip.frames)
        out = f"{self._path.stem}.{encoder.name}.{quality:g}{encoder.container}"
        command = [_told_path(self._owner.ffmpeg.path), "-r", clip.rate, "-i", str(self._path)]
        return shlex.join([*command, *encoding_arguments(cell), out])


def keep(ffmpeg: Ffmpeg, planned: Planned, target: Path) -> None:
    """Put the encode that is the answer where somebody wants it; another ending remultiplexes.

    Raises
    ------
    UnusableInput
        If there is none, or it can't be put there.
    StorageTrouble
        If the disk is full or fails.
    """
    made = planned.whole or planned.chosen
    if made is None or len(made.files) != 1:
        raise UnusableInput(f"{target}: expected an encode of the whole clip to keep, found none.")
    (encode,) = made.files
    if target.suffix != encode.suffix:
        encode = _in_another_container(ffmpeg, encode, target)
    unfinished = target.with_name(temporary_name(target.name))
    try:
        shutil.copyfile(encode, unfinished)
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if trouble := trouble_behind(error, f"--keep {target}"):
            raise trouble from error
        raise UnusableInput(
            f"--keep {target}: expected to be able to write this file, found "
            f"'{error.strerror or error}'."
        ) from error


def _in_another_container(ffmpeg: Ffmpeg, encode: Path, target: Path) -> Path:
    moved = encode.with_name(f"kept{target.suffix}")
    with Children() as children:
        done = children.run(
            [
                *(str(ffmpeg.path), "-nostdin", "-y", "-loglevel", "error"),
                *("-i", str(encode), "-c", "copy", str(moved)),
            ]
        )
    if done.returncode != 0:
        raise UnusableInput(
            f"--keep {target}: expected a container that holds {encode.suffix[1:]}'s video, found "
            f"that it doesn't: {done.last_words}"
        )
    return moved


@contextmanager
def _watched(file: Path, frames: int, report: StepReport) -> Iterator[None]:
    """Tell how many frames an encode has, as ffmpeg writes it to ``file``."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_EVERY_S):
            if (found := _last_frame(file)) is not None:
                report(min(found, frames), frames)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    report(frames, frames)


def _last_frame(file: Path) -> int | None:
    try:
        found = re.findall(rb"^frame=(\d+)$", file.read_bytes(), re.MULTILINE)
    except OSError:
        return None
    return int(found[-1]) if found else None


def _told_path(path: Path) -> str:
    """As short as it still works from here."""
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside


#: Called with each clip's answers, as soon as they are there, and the problem if there are none.
Heard = Callable[[Path, Sequence[Planned], str], None]


def plan_folder(
    planner: Planner, files: Sequence[Path], heard: Heard, progress: Progress
) -> tuple[tuple[Planned, ...], int]:
    """Plan clip by clip; one that can't be used stops no other. All answers; clips that failed."""
    report = progress.report("clips")
    everything: list[Planned] = []
    failed = 0
    for number, path in enumerate(files, start=1):
        found: tuple[Planned, ...] = ()
        problem = ""
        try:
            found = planner.plan(path)
        except UnusableInput as error:
            problem, failed = str(error), failed + 1
        everything += found
        heard(path, found, problem)
        planner.forget()
        report(number, len(files))
    return tuple(everything), failed
