"""Door: the ffmpeg and the partitions that the clips' assets share."""

import os

import dagster as dg

from fr_ensemble_assets.clips.ffmpeg import Ffmpeg, find_ffmpeg
from fr_ensemble_assets.foundation.cores import cores
from fr_ensemble_assets.foundation.errors import UnusableInput

#: A partition a clip, named like its ``src``; registered when ``reference_clips`` finds it.
CLIP_PARTITIONS = dg.DynamicPartitionsDefinition(name="clips")
#: Another ffmpeg with libvmaf than the packaged one, by path or from PATH.
FFMPEG_VARIABLE = "FR_ENSEMBLE_FFMPEG"
_WORKERS_MAX = 256


class FfmpegResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``workers``: processes at a time, 0 for one a core.

    Which ffmpeg it is says the environment (``FR_ENSEMBLE_FFMPEG``), and never a run's config.
    """

    workers: int = 0

    def find(self) -> Ffmpeg:
        ffmpeg = find_ffmpeg(os.environ.get(FFMPEG_VARIABLE, ""))
        ffmpeg.require_libvmaf()
        return ffmpeg

    def at_a_time(self) -> int:
        """How many processes run side by side."""
        if not 0 <= self.workers <= _WORKERS_MAX:
            raise UnusableInput(
                f"ffmpeg workers: expected 0 to {_WORKERS_MAX}, found {self.workers}."
            )
        return self.workers or cores()
