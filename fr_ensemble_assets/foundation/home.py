"""The home folder: where everything that the platform makes is kept, and how it is laid out.

::

    .fr-ensemble/
    ├── clips/                         reference clips, dropped here
    ├── cells/<clip sha256>/           one scored encode a file
    ├── shards/                        one corpus shard a clip, and the clips' inventory
    ├── inbox/                         corpora that wait to be noticed
    ├── store/<corpus sha256>/         everything that belongs to one corpus
    │   ├── corpus.parquet             its rows, in canonical order
    │   ├── corpus.json                where they came from, what was dropped
    │   ├── scaler.json, codec_block.parquet, codec_block.json
    │   └── loso-200epochs-<recipe>/   one folder a recipe
    │       ├── loso_seed{N}.json, loso_seed{N}_predictions.parquet, recentring_seed{N}.json
    │       ├── PROMOTE.json or HOLD.json
    │       └── members/               ONNX, sidecars, manifest (after PROMOTE)
    ├── planning/clips/                planning cells: encodes of a clip, every frame pooled
    ├── planning/<cells sha256>/       everything that belongs to cells of some clips
    │   ├── planning_cells.csv.gz, planning_cells.json
    │   ├── fr_predictor_<codec>-<recipe>/  the folds of a codec's predictors
    │   └── predictors.json, predictors/    verdicts, and the files of codecs that pass
    ├── candidates/<sha, short>/       registry candidates
    ├── logs/                          of the services, failures.log and verdicts.log
    └── dagster/                       Dagster's own home

What is kept may lie in a store of objects (``s3://bucket/prefix``); clips, logs, Dagster's home and
what is in the making need a disk of this machine. A home that is one local folder, the usual one,
has both in it.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from fr_ensemble_assets.foundation import objects, orchestration, store
from fr_ensemble_assets.foundation.digests import require_digest
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.files import (
    parse_path,
    require_no_link,
    sha256_of,
    sweep_temporaries,
)

HOME_VARIABLE = "FR_ENSEMBLE_HOME"
#: The folder for what needs a disk, where the home is the address of a store of objects.
LOCAL_VARIABLE = "FR_ENSEMBLE_LOCAL"
DEFAULT_HOME = ".fr-ensemble"
SHORT_SHA_LENGTH = 12
_PRIVATE = 0o700
#: So much of an address is part of its local folder's name.
_READABLE = 60
#: What must be free before work begins: a run over the bundled corpus takes some 20 MB, and a full
#: disk stops Dagster's databases in the midst.
MIN_FREE_VARIABLE = "FR_ENSEMBLE_MIN_FREE_MB"
_MIN_FREE_MB = 200


def _require_utf8(*paths: str) -> None:
    for path in paths:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UnusableInput(
                f"{path}: expected a home whose path is UTF-8, since documents and databases name "
                f"it, found another; choose another with --home or {HOME_VARIABLE}."
            ) from error


def _state_folder(address: str) -> Path:
    """Where a person's programs keep their state, by the XDG convention; one folder an address."""
    states = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", address)[:_READABLE]
    digest = sha256_of(address.rstrip("/").encode("utf-8", "surrogateescape"))
    return states / "fr-ensemble" / f"{readable}-{digest[:SHORT_SHA_LENGTH]}"


@dataclass(frozen=True)
class Home:
    """The paths under one home.

    Parameters
    ----------
    root
        Where everything is kept that is worth keeping: a folder, or the address of a store of
        objects. Only the verbs of :mod:`~fr_ensemble_assets.foundation.store` write there.
        Nothing is created until :meth:`prepare`.
    local
        What needs a disk of this machine; the same folder, where ``root`` is one.
    """

    root: UPath
    local: Path

    @classmethod
    def at(
        cls,
        path: str | os.PathLike[str] | None = None,
        local: str | os.PathLike[str] | None = None,
    ) -> Home:
        """The home at ``path``, else at ``FR_ENSEMBLE_HOME``, else ``.fr-ensemble`` here.

        ``local`` is the folder for what needs a disk, where ``path`` is the address of a store of
        objects; else it is ``FR_ENSEMBLE_LOCAL``, else one in this person's folder for such state.
        """
        chosen = os.fspath(path or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
        on_disk = os.fspath(local or chosen)
        if "://" in on_disk:
            on_disk = os.environ.get(LOCAL_VARIABLE) or str(_state_folder(on_disk))
        if "://" in on_disk or set(on_disk) & set("?%"):
            raise UnusableInput(
                f"{on_disk}: expected a local folder without '?' and '%' in its path (Dagster "
                f"keeps its databases there); choose another with --home, {HOME_VARIABLE} or "
                f"{LOCAL_VARIABLE}."
            )
        root = parse_path(chosen) if "://" in chosen else UPath(chosen)
        home = cls(root.absolute(), Path(on_disk).absolute())
        _require_utf8(str(home.root), str(home.local))
        return home

    @property
    def clips(self) -> Path:
        return self.local / "clips"

    @property
    def cells(self) -> UPath:
        return self.root / "cells"

    @property
    def shards(self) -> UPath:
        return self.root / "shards"

    @property
    def planning(self) -> UPath:
        return self.root / "planning"

    @property
    def clip_cells(self) -> UPath:
        """Each clip's planning cells."""
        return self.planning / "clips"

    @property
    def inbox(self) -> UPath:
        return self.root / "inbox"

    @property
    def store(self) -> UPath:
        return self.root / "store"

    @property
    def candidates(self) -> UPath:
        return self.root / "candidates"

    @property
    def scratch(self) -> Path:
        """Where encodes are in the making; on one disk with the cells, where those are on one."""
        return self.local / "cells"

    @property
    def dagster(self) -> Path:
        return self.local / "dagster"

    @property
    def has_our_settings(self) -> bool:
        """Whether Dagster's settings are those that :meth:`prepare` writes by itself."""
        return orchestration.are_the_embedded(self.dagster)

    @property
    def failures_log(self) -> Path:
        """A line for every failed run."""
        return self.logs / "failures.log"

    @property
    def verdicts_log(self) -> Path:
        """A line for every verdict that the UI's services saw a run reach and pass."""
        return self.logs / "verdicts.log"

    @property
    def logs(self) -> Path:
        return self.local / "logs"

    @property
    def _folders(self) -> tuple[UPath, ...]:
        """The folders on a disk. A store of objects has none."""
        kept = (self.cells, self.shards, self.planning, self.store, self.candidates)
        local = (self.clips, self.scratch, self.logs, self.dagster)
        on_disk = (self.inbox, *kept) if store.is_local(self.root) else ()
        return tuple(dict.fromkeys((*on_disk, *map(UPath, local))))

    def corpus_dir(self, corpus_sha256: str) -> UPath:
        """Where everything that belongs to one corpus is kept."""
        return self.store / require_digest(corpus_sha256, "corpus")

    def cells_dir(self, cells_sha256: str) -> UPath:
        """Where everything is kept that belongs to planning cells."""
        return self.planning / require_digest(cells_sha256, "planning cells")

    def candidate_dir(self, corpus_sha256: str, variant: str = "") -> UPath:
        """Where the registry candidate of one corpus, under a variant, is published."""
        short = require_digest(corpus_sha256, "corpus")[:SHORT_SHA_LENGTH]
        return self.candidates / f"{short}{variant}"

    def sweep(self) -> int:
        """Remove what killed processes of this machine left half-made; count it."""
        kept = (self.cells, self.shards, self.planning, self.store, self.candidates)
        on_disk = kept if store.is_local(self.root) else (UPath(self.scratch),)
        # Of Dagster's own folder our settings alone: what lies deeper is Dagster's.
        settings = sweep_temporaries(UPath(self.dagster), deep=False)
        return settings + sum(sweep_temporaries(folder) for folder in on_disk)

    def require_room(self) -> None:
        """Look whether the disk has room for work; the need is set by ``FR_ENSEMBLE_MIN_FREE_MB``.

        Raises
        ------
        UnusableInput
            If it has not.
        """
        wanted = os.environ.get(MIN_FREE_VARIABLE, str(_MIN_FREE_MB))
        if not (wanted.isascii() and wanted.isdecimal()):
            raise UnusableInput(
                f"{MIN_FREE_VARIABLE}: expected a whole number, found {wanted[:40]!a}."
            )
        there = next(folder for folder in (self.local, *self.local.parents) if folder.exists())
        free = shutil.disk_usage(there).free // 10**6
        if free < int(wanted[:18]):
            raise UnusableInput(
                f"{self.local}: expected {wanted} MB free for work to begin, found {free}; free "
                "some (`fr-ensemble clean` lists what no candidate needs), choose another home "
                f"with --home or {HOME_VARIABLE}, or set {MIN_FREE_VARIABLE} lower."
            )

    def is_there(self) -> bool:
        """Whether somebody made it; a store that doesn't answer is not taken for an empty one.

        Raises
        ------
        UnusableInput, StorageTrouble
            As :meth:`prepare`, of the store of objects and the database; if a file lies there.
        """
        self._require_services()
        self._require_no_file()
        kept_elsewhere = not store.is_local(self.root) and store.is_folder(self.root)
        return self.local.exists() or kept_elsewhere

    def _require_services(self) -> None:
        if not store.is_local(self.root):
            objects.require_reachable(self.root)
        orchestration.require_services()

    def _require_no_file(self) -> None:
        if self.local.exists() and not self.local.is_dir():
            raise UnusableInput(
                f"{self.local}: expected a folder as home, found a file; choose another with "
                f"--home or {HOME_VARIABLE}."
            )

    def can_be_written(self) -> bool:
        """Whether the folders that are there let us write into them."""
        folders = [Path(str(folder)) for folder in (self.local, *self._folders)]
        return all(os.access(folder, os.W_OK | os.X_OK) for folder in folders if folder.exists())

    def require_no_links(self) -> None:
        """Raise :class:`UnusableInput` if a link lies where :meth:`prepare` allows none."""
        for folder in self._folders:
            require_no_link(folder)
        if store.is_local(self.root):
            for folder in (self.store, self.candidates):
                for entry in folder.iterdir() if folder.is_dir() else ():
                    require_no_link(entry)

    def prepare(self) -> None:
        """Create the folders and Dagster's settings.

        Raises
        ------
        UnusableInput
            If the home can't be created or written, or a link lies in it: what is published here
            would appear elsewhere, or what lies elsewhere would pass for ours. If the store of
            objects or the database doesn't open.
        StorageTrouble
            If the store of objects or the database doesn't answer.
        """
        self._require_services()
        self._require_no_file()
        self.require_no_links()
        try:
            # For its owner alone; a home that is there already keeps the modes that it has.
            self.local.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            for folder in self._folders:
                folder.mkdir(mode=_PRIVATE, exist_ok=True)
                if not os.access(str(folder), os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", str(folder))
            orchestration.write(self.dagster)
        except OSError as error:
            raise UnusableInput(
                f"{self.local}: expected a home folder that can be written, found "
                f"'{error.strerror or error}'; choose another with --home or {HOME_VARIABLE}."
            ) from error
