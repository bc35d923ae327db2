"""ONNX surgery: models that run, and are not the graph that is exported."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Operation = Callable[[random.Random, onnx.ModelProto, Path], str]


def operate(chance: random.Random, path: Path) -> str:
    """Alter the model at ``path``; returns what was done."""
    model = onnx.load_model_from_string(path.read_bytes())
    done = chance.choice(OPERATIONS)(chance, model, path)
    path.write_bytes(model.SerializeToString())
    return done


def _weight(chance: random.Random, model: onnx.ModelProto) -> onnx.TensorProto:
    weights = [t for t in model.graph.initializer if t.dims and t.data_type == TensorProto.FLOAT]
    return chance.choice(weights)


def _replace(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _external_data(chance: random.Random, model: onnx.ModelProto, path: Path) -> str:
    tensor = _weight(chance, model)
    where = chance.choice((path.name, "weights.bin", "../weights.bin", "/etc/hostname"))
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", where), ("offset", "0"), ("length", str(len(data)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return f"a weight lies in {where}"


def _local_function(_: random.Random, model: onnx.ModelProto, __: Path) -> str:
    """A function named like an allowed operator, with another one inside."""
    body = [helper.make_node("Sin", ["x"], ["y"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ours", "Relu", ["x"], ["y"], body, opsets))
    model.opset_import.append(helper.make_opsetid("ours", 1))
    last = model.graph.node[-1]
    renamed = last.output[0]
    last.output[0] = "before_function"
    model.graph.node.append(helper.make_node("Relu", ["before_function"], [renamed], domain="ours"))
    return "a forbidden operator hides in a local function"


def _foreign_domain(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    domain = chance.choice(("com.microsoft", "ai.onnx.ml", "evil"))
    model.opset_import.append(helper.make_opsetid(domain, 1))
    if chance.random() < 0.5:
        for node in model.graph.node:
            if node.op_type == "Erf":
                node.domain = domain
    return f"it imports the domain {domain}"


def _opset(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    model.opset_import[0].version = chance.choice((13, 14, 16, 18, 19, 99))
    return f"its opset is {model.opset_import[0].version}"


def _names(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    what = chance.choice((model.graph.input[0], model.graph.input[1], model.graph.output[0]))
    old = what.name
    what.name = chance.choice(("x", "score2", "features ", ""))
    for node in model.graph.node:
        for place in (node.input, node.output):
            for number, name in enumerate(place):
                if name == old:
                    place[number] = what.name
    return f"{old} has another name"


def _shapes(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    what = chance.choice((*model.graph.input, *model.graph.output))
    dims = what.type.tensor_type.shape.dim
    how = chance.randrange(4)
    if how == 0:
        dims[0].ClearField("dim_param")
        dims[0].dim_value = chance.choice((1, 120))
    elif how == 1:
        dims[-1].ClearField("dim_param")
        dims[-1].dim_param = "anything"
    elif how == 2:
        what.type.tensor_type.elem_type = TensorProto.DOUBLE
    else:
        dims.add().dim_value = 1
    return f"{what.name} has another shape or type"


def _not_finite(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    tensor = _weight(chance, model)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[chance.randrange(values.size)] = chance.choice((np.nan, np.inf, -np.inf))
    _replace(tensor, values)
    return "a weight is not finite"


def _scalar(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    """A weight that broadcasting stretches over all units."""
    biases = [t for t in model.graph.initializer if len(t.dims) == 1 and "bias" in t.name]
    tensor = chance.choice(biases or list(model.graph.initializer))
    _replace(tensor, np.array([0.25], dtype=np.float32))
    return f"{tensor.name} is one number for all units"


def _score_of_one(_: random.Random, model: onnx.ModelProto, __: Path) -> str:
    """The mean over the batch: one score for all rows."""
    last = model.graph.node[-1]
    name = last.output[0]
    last.output[0] = "before_mean"
    model.graph.node.append(
        helper.make_node("ReduceMean", ["before_mean"], [name], axes=[0], keepdims=1)
    )
    return "one score is broadcast to all rows"


def _more_nodes(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    last = model.graph.node[-1]
    name = last.output[0]
    operator = chance.choice(("Identity", "Relu", "Abs", "Neg", "Sigmoid", "Dropout"))
    last.output[0] = "before_more"
    model.graph.node.append(helper.make_node(operator, ["before_more"], [name]))
    return f"it has one more {operator}"


def _more_outputs(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    if chance.random() < 0.5:
        name = model.graph.node[0].output[0]
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        return "it has one more output"
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch"]))
    return "it has one more input"


def _junk(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    size = chance.choice((10, 10_000, 5_000_000))
    how = chance.randrange(4)
    if how == 0:
        junk = np.zeros(size, dtype=np.float32)
        model.graph.initializer.append(numpy_helper.from_array(junk, "junk"))
    elif how == 1:
        entry = model.metadata_props.add()
        entry.key, entry.value = "junk", "x" * size
    elif how == 2:
        model.graph.doc_string = "x" * size
    else:
        model.producer_version = "\x1b[31m" + "x" * size
    return f"it carries {size} bytes of junk or more"


def _other_type(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    tensor = _weight(chance, model)
    values = numpy_helper.to_array(tensor)
    _replace(tensor, values.astype(chance.choice((np.float64, np.float16, np.int32))))
    return f"{tensor.name} has another type"


def _other_shape(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    tensor = _weight(chance, model)
    values = numpy_helper.to_array(tensor)
    _replace(tensor, chance.choice((values.T, values[:-1], values.reshape(-1))))
    if values.ndim == 1:
        _replace(tensor, values[:-1])
    return f"{tensor.name} has another shape"


def _activation(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    nodes = [node for node in model.graph.node if node.op_type == "Erf"]
    chance.choice(nodes).op_type = chance.choice(("Tanh", "Sigmoid", "Identity", "Sin", "Softsign"))
    return "an Erf is another function"


def _format_version(chance: random.Random, model: onnx.ModelProto, _: Path) -> str:
    model.ir_version = chance.choice((3, 7, 9, 11, 99))
    return f"its format has version {model.ir_version}"


OPERATIONS: tuple[Operation, ...] = (
    *(_external_data, _local_function, _foreign_domain, _opset, _names, _shapes, _not_finite),
    *(_scalar, _score_of_one, _more_nodes, _more_outputs, _junk, _other_type, _other_shape),
    *(_activation, _format_version),
)
