"""A member is the graph that we export, to the byte; nothing else is accepted, whatever it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fr_ensemble_assets.contract.agreed import ENSEMBLE
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.members.names import member_id
from fr_ensemble_assets.members.onnx_check import MAX_MEMBER_BYTES, member_problem, read_member
from fr_ensemble_assets.members.onnx_export import export_onnx
from fr_ensemble_assets.training.model import Parameters, initial_parameters


@pytest.fixture
def member() -> bytes:
    return export_onnx(initial_parameters(0, ENSEMBLE.recipe), member_id(0))


def weight(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def external_weights(model: onnx.ModelProto) -> None:
    tensor = weight(model, "weight1")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def external_beside_weights_inside(model: onnx.ModelProto) -> None:
    weight(model, "weight1").external_data.add(key="location", value="weights.bin")


def function_named_like_an_operator(model: onnx.ModelProto) -> None:
    node = helper.make_node("Sin", ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "Relu", ["x"], ["y"], [node], opset))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("Relu", ["linear2"], ["z"], domain="local"))


def foreign_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.node[1].domain = "com.example"


def another_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "Tanh"


def scalar_for_all_rows(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([50.0], np.float32), "c"))
    model.graph.node[-1].input[0] = "c"


def broadcast_bias(model: onnx.ModelProto) -> None:
    weight(model, "bias1").CopyFrom(numpy_helper.from_array(np.zeros(1, np.float32), "bias1"))


def not_a_number(model: onnx.ModelProto) -> None:
    values = np.full((1, 64), np.nan, np.float32)
    weight(model, "weight2").CopyFrom(numpy_helper.from_array(values, "weight2"))


def values_as_a_list(model: onnx.ModelProto) -> None:
    tensor = weight(model, "bias2")
    tensor.float_data.append(7.0)


def another_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"


def another_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def another_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def another_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 10


def metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="note", value="x" * 1000)


def another_seed(model: onnx.ModelProto) -> None:
    model.graph.name = member_id(1)


def a_weight_more(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "spare"))


def a_weight_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(weight(model, "weight1"))


def no_weight(model: onnx.ModelProto) -> None:
    weight(model, "weight1").name = "elsewhere"


CHANGES: list[Callable[[onnx.ModelProto], None]] = [
    *(external_weights, external_beside_weights_inside, function_named_like_an_operator),
    *(foreign_domain, another_operator, scalar_for_all_rows, broadcast_bias, not_a_number),
    *(values_as_a_list, another_input, another_shape, another_opset, another_ir, metadata),
    *(another_seed, a_weight_more, a_weight_twice, no_weight),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_any_other_graph_is_refused(member: bytes, change: Callable[..., None]) -> None:
    model = onnx.ModelProto.FromString(member)
    change(model)
    told = member_problem(model.SerializeToString(deterministic=True), 0)
    assert told.startswith(f"{member_id(0)}.onnx: expected ")
    assert "\n" not in told


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no protobuf": lambda _: b"\xff" * 100,
    "half": lambda data: data[: len(data) // 2],
    "a field that nobody knows": lambda data: data + b"\xfa\x3f\x04junk",
    "too much": lambda data: data + b"\xfa\x3f" * MAX_MEMBER_BYTES,
}


@pytest.mark.parametrize("name", BYTES)
def test_any_other_bytes_are_refused(member: bytes, name: str) -> None:
    with pytest.raises(UnusableInput, match=r"seed0\.onnx: expected "):
        read_member(BYTES[name](member), 0)


def test_our_own_export_is_accepted_and_its_weights_read_back(member: bytes) -> None:
    found, given = read_member(member, 0), initial_parameters(0, ENSEMBLE.recipe)
    assert isinstance(found, Parameters)
    for read, written in zip(
        (*found.weights, *found.biases), (*given.weights, *given.biases), strict=True
    ):
        np.testing.assert_array_equal(read, written)
