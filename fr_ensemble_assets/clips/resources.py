"""Door: the ffmpeg and the partitions that the clips' assets share."""

import dagster as dg

from fr_ensemble_assets.clips.ffmpeg import Ffmpeg, find_ffmpeg

#: A partition a clip, named like its ``src``; registered when ``reference_clips`` finds it.
CLIP_PARTITIONS = dg.DynamicPartitionsDefinition(name="clips")


class FfmpegResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``path``: another ffmpeg with libvmaf than the packaged one, by path or from PATH.

    ``workers``: processes at a time, 0 for one a core.
    """

    path: str = ""
    workers: int = 0

    def find(self) -> Ffmpeg:
        ffmpeg = find_ffmpeg(self.path)
        ffmpeg.require_libvmaf()
        return ffmpeg
