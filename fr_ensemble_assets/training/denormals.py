"""Denormal numbers, set to zero by the processor while PyTorch trains, and not a moment longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormals in this thread: L2 drives weights of one-hot columns that never occur there.

    The setting is the thread's, not PyTorch's, so whoever comes after must find it as it was.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
