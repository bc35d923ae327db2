"""What the last bits of a model depend on besides its input: the processor and its BLAS."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from fr_ensemble_assets.foundation.wording import shown

#: What to do about machines that differ.
ONE_KIND = (
    "take machines of one kind, or pin NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and OPENBLAS_CORETYPE on "
    "all of them to the least"
)


def machine_told(record: Mapping[str, Any]) -> str:
    """A machine's record in a few words."""
    blas = " ".join(map(str, record.get("blas", ())))
    return shown(f"{record.get('processor')} ({record.get('features')}) with {blas}", 80)


@cache
def machine_record() -> dict[str, Any]:
    """Instruction set as the kernel is compiled for, and the BLAS behind the matrix products.

    Two machines for which this is equal, under the same library versions, give the same bytes.
    """
    import llvmlite.binding as llvm
    import numba
    import numpy as np
    import scipy.linalg.cython_blas  # noqa: F401 (the kernel multiplies through it, numpy by itself)
    from threadpoolctl import threadpool_info

    found = [lib for lib in threadpool_info() if lib.get("user_api") == "blas"]
    names = sorted({_name(lib) for lib in found})
    # As numba compiles for, which whoever has machines of several kinds pins to the least of them.
    name = getattr(numba.config, "CPU_NAME", None) or str(llvm.get_host_cpu_name())
    features = _switched_on(
        getattr(numba.config, "CPU_FEATURES", None), llvm.get_host_cpu_features()
    )
    return {
        "processor": name,
        "vectors": 512 if "avx512f" in features else 256 if "avx2" in features else 128,
        "features": hashlib.sha256(",".join(sorted(features)).encode()).hexdigest()[:8],
        "blas": names,
        "numpy": np.__version__,
    }


def _switched_on(pinned: str | None, host: Mapping[str, bool]) -> set[str]:
    """The features by name: those that are pinned (``+avx2,-avx512f``), else the host's."""
    if pinned is None:
        return {name for name, there in host.items() if there}
    return {part[1:] for part in map(str.strip, pinned.split(",")) if part.startswith("+")}


def _name(library: dict[str, Any]) -> str:
    parts = (library.get("internal_api"), library.get("version"), library.get("architecture"))
    return " ".join(str(part) for part in parts if part)
