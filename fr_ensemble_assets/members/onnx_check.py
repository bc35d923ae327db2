"""Is a file a member of ours? Its graph must be the one that we export, to the byte.

What could be wrong with a foreign graph can't be listed: other domains, functions that hide an
operator, weights in a second file, shapes that broadcast. So nothing is listed. The weights are
read, the graph is written again from them, and the two must be the same bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.members.names import member_id, onnx_file
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.training.model import Parameters, layer_sizes

#: A member takes 23 KB. What is far larger isn't parsed at all.
MAX_MEMBER_BYTES = 1 << 20
_FLOAT32 = np.dtype("<f4")


def read_member(model: bytes, seed: int) -> Parameters:
    """The weights of the member of ``seed``, proved to lie in the graph that we export.

    Raises
    ------
    UnusableInput
        If the file is too large, is no ONNX model, lacks a weight, holds one of another shape or
        that is not finite, or is anything else than :func:`.export_onnx` of these weights.
    """
    if len(model) > MAX_MEMBER_BYTES:
        raise _unlike(seed, f"at most {MAX_MEMBER_BYTES:,} bytes", f"{len(model):,}")
    parameters = _parameters(model, seed)
    if export_onnx(parameters, member_id(seed)) != model:
        raise _unlike(seed, "the graph that fr-ensemble exports", "another one round its weights")
    return parameters


def member_problem(model: bytes, seed: int) -> str:
    """Why ``model`` is no member of ours, in one sentence; empty if it is one."""
    try:
        read_member(model, seed)
    except UnusableInput as error:
        return str(error)
    return ""


def _parameters(model: bytes, seed: int) -> Parameters:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        # Protobuf alone: no external file is looked for.
        parsed = onnx.ModelProto.FromString(model)
    except DecodeError as error:
        raise _unlike(seed, "an ONNX model", "other bytes") from error
    found = {tensor.name: tensor for tensor in parsed.graph.initializer}
    weights, biases = [], []
    for layer, (inputs, outputs) in enumerate(layer_sizes(ENSEMBLE.recipe)):
        weights.append(_values(found.get(f"weight{layer}"), (outputs, inputs), seed, layer))
        biases.append(_values(found.get(f"bias{layer}"), (outputs,), seed, layer))
    return Parameters(tuple(weights), tuple(biases))


def _values(
    tensor: object, shape: tuple[int, ...], seed: int, layer: int
) -> npt.NDArray[np.float32]:
    raw: bytes = getattr(tensor, "raw_data", b"")
    if len(raw) != _FLOAT32.itemsize * int(np.prod(shape)):
        wanted = " x ".join(map(str, shape))
        raise _unlike(seed, f"{wanted} float32 weights inside in layer {layer}", "others or none")
    values = np.frombuffer(raw, _FLOAT32).reshape(shape)
    if not np.isfinite(values).all():
        raise _unlike(seed, f"finite weights in layer {layer}", "some that are not")
    return values


def _unlike(seed: int, wanted: str, found: str) -> UnusableInput:
    return UnusableInput(
        f"{onnx_file(seed)}: expected {wanted}, found {found}; make the members again."
    )
