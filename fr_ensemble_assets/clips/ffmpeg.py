"""The ffmpeg at hand: where it is, what it can do, and how it is run without leaving orphans."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import sha256_of
from fr_ensemble_assets.foundation.progress import Cancelled

#: What ffmpeg's last words are cut to in a message.
_TOLD_LINES = 3
#: Lines that only say that something failed, after those that say what.
_AFTERMATH = re.compile(
    r"Terminating thread|Task finished with error|Nothing was written into|Conversion failed"
    r"|Error sending frames|Could not open encoder before EOF|Error opening (input|output) files?"
)
#: SVT-AV1 tells its settings on stderr whatever ffmpeg's log level; 1 leaves errors alone.
_QUIET = {"SVT_LOG": "1"}


@dataclass(frozen=True)
class Ffmpeg:
    """One ffmpeg binary; what it can do is asked of it.

    Attributes
    ----------
    path
        The binary.
    version
        As the binary says it, and a digest of how it was built; part of the identity of everything
        that it made.
    """

    path: Path
    version: str

    @cached_property
    def encoders(self) -> frozenset[str]:
        """Names of the video encoders that are compiled in."""
        return frozenset(re.findall(r"^ V[A-Z.]{5} (\S+)", self._ask("-encoders"), re.MULTILINE))

    @cached_property
    def filters(self) -> frozenset[str]:
        """Names of the filters that are compiled in."""
        return frozenset(re.findall(r"^ [A-Z.]{2,3} (\S+) +\S+->", self._ask("-filters"), re.M))

    @cached_property
    def bit_depths(self) -> Mapping[str, int]:
        """Bits of the deepest component of each pixel format."""
        rows = re.findall(r"^[A-Z.]{5} (\S+) +\d+ +\d+ +([\d-]+)$", self._ask("-pix_fmts"), re.M)
        return {name: max(map(int, depths.split("-"))) for name, depths in rows}

    @cached_property
    def loops_back(self) -> bool:
        """Whether it decodes its own output in the same process (``-dec``, ffmpeg 7.1 and on)."""
        return not self._failure_of(
            *("-f", "lavfi", "-i", "color=size=64x64:duration=0.1", "-c:v", "mpeg4"),
            *("-f", "null", "-", "-dec", "0:0", "-filter_complex", "[dec:0]null[o]"),
            *("-map", "[o]", "-f", "null", "-"),
        )

    def failure_to_open(self, arguments: Sequence[str]) -> str:
        """What it says when an encoder with these arguments is to open; empty when it opens."""
        before = arguments[: arguments.index("-c:v")]
        return self._failure_of(
            *before,
            *("-f", "lavfi", "-i", "color=size=320x240:duration=0.1"),
            *arguments[len(before) :],
            *("-f", "null", "-"),
        )

    def require_libvmaf(self) -> None:
        """Raise :class:`UnusableInput` if it can't score."""
        if "libvmaf" not in self.filters:
            raise UnusableInput(
                f"{self.path}: expected an ffmpeg with the filter libvmaf, found none in version "
                f"{self.version}; leave --ffmpeg out to use the one that comes with imageio-ffmpeg."
            )

    def _ask(self, what: str) -> str:
        return _answer(str(self.path), "-hide_banner", what)

    def _failure_of(self, *arguments: str) -> str:
        with Children() as children:
            done = children.run([str(self.path), *GENERAL, *arguments])
        return "" if done.returncode == 0 else done.last_words


_ANSWER_SECONDS = 30
#: What every call begins with.
GENERAL = ("-nostdin", "-y", "-hide_banner", "-loglevel", "error")


def find_ffmpeg(named: str = "") -> Ffmpeg:
    """The binary ``named`` by path or to be found on PATH; else the one of ``imageio-ffmpeg``.

    Raises
    ------
    UnusableInput
        If there is none, or it does not answer as ffmpeg does.
    """
    path = shutil.which(named) if named else _packaged()
    if path is None:
        raise UnusableInput(
            f"{named or 'ffmpeg'}: expected an ffmpeg that can be run, found none; "
            "name one with --ffmpeg or install imageio-ffmpeg."
        )
    # Absolute, since encodes run in folders of their own.
    path = os.path.abspath(path)  # noqa: PTH100 (a link to a wrapper stays a link)
    answer = _answer(path, "-version")
    said = re.match(r"ffmpeg version (\S+)", answer)
    if said is None:
        raise UnusableInput(
            f"{path}: expected an ffmpeg, found a program that says '{answer.strip()[:60]}'."
        )
    return Ffmpeg(Path(path), f"{said[1]} (build {sha256_of(answer.encode())[:8]})")


def _answer(path: str, *question: str) -> str:
    """What a binary says when it is asked something."""
    try:
        asked = subprocess.run(
            [path, *question],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnusableInput(f"{path}: expected an ffmpeg, found '{error}'.") from error
    return asked.stdout or asked.stderr


def _packaged() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # no package, or none for this platform
        return shutil.which("ffmpeg")


@dataclass(frozen=True)
class Completed:
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last lines on stderr that say what failed, without addresses in memory."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if not _AFTERMATH.search(line)] or lines
        told = " | ".join(telling[-_TOLD_LINES:]) or self._silent_end
        return re.sub(r" @ 0x[0-9a-f]+", "", told)

    @property
    def _silent_end(self) -> str:
        if self.returncode < 0:
            return f"nothing, it was ended by {signal.Signals(-self.returncode).name}"
        return f"nothing but exit status {self.returncode}"


class Children:
    """Programs that end with this process, however it ends.

    A guard, a shell that waits for its input to close, leads the process group that all programs
    are started in. When this process is gone, even killed, the input closes and the guard kills
    the group.
    """

    def __enter__(self) -> Children:
        self._closed = threading.Event()
        self._guard = subprocess.Popen(
            ["sh", "-c", "read -r _; kill -KILL 0"], stdin=subprocess.PIPE, process_group=0
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still runs; whoever waits for it gets :class:`Cancelled`."""
        self._closed.set()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def run(self, command: Sequence[str], cwd: Path | None = None) -> Completed:
        """Run a program to its end.

        Raises
        ------
        Cancelled
            If the group was closed in the meantime.
        """
        if self._closed.is_set():
            raise Cancelled
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **_QUIET},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=self._guard.pid,
            )
        except OSError as error:
            # Either the group ended between the question above and now, or it can't be run.
            if self._closed.is_set():
                raise Cancelled from None
            return Completed(126, "", f"{command[0]}: {error.strerror or error}")
        stdout, stderr = process.communicate()
        if self._closed.is_set():
            raise Cancelled
        return Completed(process.returncode, stdout, stderr)
