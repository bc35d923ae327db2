"""The ``probe`` predictor as ONNX: normalisation inside, dynamic batch, reproducible bytes."""

from __future__ import annotations

import numpy as np

from fr_ensemble_assets.members.onnx_export import OPSET
from fr_ensemble_assets.predictors.probe import (
    LEVEL_BOUND,
    LOG_STEEPNESS_BOUND,
    PROBE_INPUTS,
    ProbeModel,
)
from fr_ensemble_assets.predictors.scale import Array

INPUT_NAME, OUTPUT_NAME = "input", "vmaf"
#: The IR version that came with opset 17.
_IR_VERSION = 8
#: The largest difference, in VMAF, at which the file still is the fitted model.
PROBE_ONNX_TOLERANCE = 1e-3

# Each step: operator, inputs, output. Names of constants are those of _constants.
_STEPS = (
    ("Gather", ("input", "first"), "crf"),
    ("Gather", ("input", "others"), "raw"),
    ("Max", ("raw", "zero"), "positive"),
    ("Add", ("positive", "one"), "shifted"),
    ("Log", ("shifted",), "logs"),
    ("Max", ("logs", "low"), "raised"),
    ("Min", ("raised", "high"), "kept"),
    ("Sub", ("kept", "mean"), "centred"),
    ("Div", ("centred", "scale"), "standardised"),
    ("Gemm", ("standardised", "level_weights", "level_bias"), "level_raw"),
    ("Max", ("level_raw", "level_least"), "level_raised"),
    ("Min", ("level_raised", "level_most"), "level"),
    ("Gemm", ("standardised", "steep_weights", "steep_bias"), "steep_raw"),
    ("Max", ("steep_raw", "steep_least"), "steep_raised"),
    ("Min", ("steep_raised", "steep_most"), "log_steepness"),
    ("Exp", ("log_steepness",), "steepness"),
    ("Sub", ("crf", "knots"), "beyond_raw"),
    ("Relu", ("beyond_raw",), "beyond"),
    ("MatMul", ("beyond", "turns"), "bent"),
    ("Sub", ("crf", "first_knot"), "from_first"),
    ("Mul", ("from_first", "first_slope"), "straight"),
    ("Add", ("straight", "bent"), "fall"),
    ("Mul", ("steepness", "fall"), "drop"),
    # Not Sigmoid: far from 0 onnxruntime's approximates to 1e-7, and there scores would rise.
    ("Sub", ("drop", "level"), "minus_logit"),
    ("Exp", ("minus_logit",), "odds_against"),
    ("Add", ("odds_against", "one"), "inverse"),
    ("Div", ("hundred", "inverse"), "vmaf"),
)


def probe_onnx(model: ProbeModel, name: str) -> bytes:
    """``input`` float32 [batch, 14] to ``vmaf`` float32 [batch, 1]; weights in the file."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node(kind, list(inputs), [output]) for kind, inputs, output in _STEPS]
    for node in nodes:
        if node.op_type == "Gather":
            node.attribute.append(helper.make_attribute("axis", 1))
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        name,
        inputs=[helper.make_tensor_value_info(INPUT_NAME, floats, ["batch", len(PROBE_INPUTS)])],
        outputs=[helper.make_tensor_value_info(OUTPUT_NAME, floats, ["batch", 1])],
        initializer=[
            numpy_helper.from_array(np.ascontiguousarray(value), constant)
            for constant, value in _constants(model).items()
        ],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fr-ensemble"
    )
    made.ir_version = _IR_VERSION
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def _constants(model: ProbeModel) -> dict[str, np.ndarray]:
    def row(values: Array) -> np.ndarray:
        return np.asarray(values, np.float32).reshape(1, -1)

    def column(values: Array) -> np.ndarray:
        return np.asarray(values, np.float32).reshape(-1, 1)

    def number(value: float) -> np.ndarray:
        return np.array(value, np.float32)

    return {
        "first": np.array([0], np.int64),
        "others": np.arange(1, len(PROBE_INPUTS), dtype=np.int64),
        "zero": number(0),
        "one": number(1),
        "low": row(model.low),
        "high": row(model.high),
        "mean": row(model.mean),
        "scale": row(model.scale),
        "level_weights": column(model.level[1:]),
        "level_bias": np.asarray(model.level[:1], np.float32),
        "level_least": number(-LEVEL_BOUND),
        "level_most": number(LEVEL_BOUND),
        "steep_weights": column(model.steepness[1:]),
        "steep_bias": np.asarray(model.steepness[:1], np.float32),
        "steep_least": number(-LOG_STEEPNESS_BOUND),
        "steep_most": number(LOG_STEEPNESS_BOUND),
        "knots": row(model.knots),
        "turns": column(np.diff(model.slopes)),
        "first_knot": number(float(model.knots[0])),
        "first_slope": number(float(model.slopes[0])),
        "hundred": number(100),
    }


def run_probe_onnx(model: bytes, inputs: Array) -> Array:
    """Scores of ``inputs``, shape (n, 14), with onnxruntime; shape (n,)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    fed = {INPUT_NAME: np.ascontiguousarray(inputs, dtype=np.float32)}
    (scores,) = session.run([OUTPUT_NAME], fed)
    return np.asarray(scores[:, 0], dtype=np.float64)
