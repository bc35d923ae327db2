"""What the last bits of a model depend on besides its input: the processor and its BLAS."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def machine_record() -> dict[str, Any]:
    """Instruction set as the kernel is compiled for, and the BLAS behind the matrix products.

    Two machines for which this is equal, under the same library versions, give the same bytes.
    """
    import llvmlite.binding as llvm
    import numpy as np
    import scipy.linalg.cython_blas  # noqa: F401 (the kernel multiplies through it, numpy by itself)
    from threadpoolctl import threadpool_info

    found = [lib for lib in threadpool_info() if lib.get("user_api") == "blas"]
    names = sorted({_name(lib) for lib in found})
    features = llvm.get_host_cpu_features()
    return {
        "processor": str(llvm.get_host_cpu_name()),
        "vectors": 512 if features.get("avx512f") else 256 if features.get("avx2") else 128,
        "blas": names,
        "numpy": np.__version__,
    }


def _name(library: dict[str, Any]) -> str:
    parts = (library.get("internal_api"), library.get("version"), library.get("architecture"))
    return " ".join(str(part) for part in parts if part)
