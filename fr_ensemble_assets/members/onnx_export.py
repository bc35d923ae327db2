"""A member as an ONNX file that libvmaf's loader accepts, and the proof that it is the network.

The graph is written down node by node: fifteen nodes, the same bytes for the same weights, and
no exporter that decides to put the weights into a second file, which the digest would then miss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fr_ensemble_assets.features.codec_block import NUM_CODECS
from fr_ensemble_assets.foundation.schema import CANONICAL_6
from fr_ensemble_assets.training.model import Parameters

if TYPE_CHECKING:
    import onnx

OPSET = 17
#: The IR version that came with opset 17 (ONNX 1.12): older runtimes still read it.
_IR_VERSION = 8
INPUT_NAMES = ("features", "codec_onehot")
OUTPUT_NAMES = ("score",)
#: The largest difference, in VMAF, at which an ONNX file still is the trained network.
ONNX_TOLERANCE = 1e-4

#: What libvmaf's loader allows (contracts section 5).
ALLOWED_OPERATORS = frozenset(
    [
        "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat",
        "Slice", "Gather", "Cast", "Shape", "Expand", "Add", "Sub", "Mul", "Div", "Neg",
        "Abs", "Sqrt", "Pow", "Exp", "Log", "Clip", "Min", "Max", "Sum", "Mean",
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Gemm", "MatMul", "Relu",
        "Sigmoid", "Tanh", "Softmax", "Gelu", "Erf", "Dropout", "Constant",
        "ConstantOfShape", "Reciprocal",
    ]
)  # fmt: skip


def export_onnx(parameters: Parameters, name: str) -> bytes:
    """The network as ONNX: opset 17, weights inside, dynamic batch.

    Inputs ``features`` float32 [batch, 6] (standardised) and ``codec_onehot`` float32 [batch, 14],
    output ``score`` float32 [batch].
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "sqrt_two": np.array(np.sqrt(2.0), np.float32),
        "one": np.array(1.0, np.float32),
        "half": np.array(0.5, np.float32),
        "score_axis": np.array([1], np.int64),
    }
    nodes = [helper.make_node("Concat", list(INPUT_NAMES), ["hidden0"], axis=1)]
    last = len(parameters.weights) - 1
    for layer, (weight, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        constants |= {f"weight{layer}": weight, f"bias{layer}": bias}
        nodes.append(
            helper.make_node(
                "Gemm",
                [f"hidden{layer}", f"weight{layer}", f"bias{layer}"],
                [f"linear{layer}"],
                transB=1,
            )
        )
        if layer < last:
            nodes += _gelu(f"linear{layer}", f"hidden{layer + 1}")
    nodes.append(helper.make_node("Squeeze", [f"linear{last}", "score_axis"], ["score"]))

    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        name,
        inputs=[
            helper.make_tensor_value_info(INPUT_NAMES[0], floats, ["batch", len(CANONICAL_6)]),
            helper.make_tensor_value_info(INPUT_NAMES[1], floats, ["batch", NUM_CODECS]),
        ],
        outputs=[helper.make_tensor_value_info(OUTPUT_NAMES[0], floats, ["batch"])],
        initializer=[
            numpy_helper.from_array(np.ascontiguousarray(value), constant)
            for constant, value in constants.items()
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fr-ensemble"
    )
    model.ir_version = _IR_VERSION
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _gelu(source: str, result: str) -> list[onnx.NodeProto]:
    """Exact GELU, x * (1 + erf(x / sqrt 2)) / 2, from operators that opset 17 has."""
    from onnx import helper

    steps = [
        ("Div", [source, "sqrt_two"], f"{source}_scaled"),
        ("Erf", [f"{source}_scaled"], f"{source}_erf"),
        ("Add", [f"{source}_erf", "one"], f"{source}_gate"),
        ("Mul", [source, f"{source}_gate"], f"{source}_gated"),
        ("Mul", [f"{source}_gated", "half"], result),
    ]
    return [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps]


def forbidden_operators(model: bytes) -> tuple[str, ...]:
    """Operators of a graph of ours that libvmaf's loader would refuse, sorted.

    Of ours: :mod:`.onnx_check` says whether a file is one; this looks at plain nodes alone.
    """
    import onnx

    nodes = onnx.ModelProto.FromString(model).graph.node
    return tuple(sorted({node.op_type for node in nodes} - ALLOWED_OPERATORS))


def run_onnx(model: bytes, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Score ``inputs``, shape (n, 20), with onnxruntime; float64, shape (n,)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    split = len(CANONICAL_6)
    features = np.ascontiguousarray(inputs[:, :split], dtype=np.float32)
    codec = np.ascontiguousarray(inputs[:, split:], dtype=np.float32)
    (score,) = session.run(
        list(OUTPUT_NAMES), dict(zip(INPUT_NAMES, (features, codec), strict=True))
    )
    return np.asarray(score, dtype=np.float64)
