"""A model that was trained elsewhere -> an ONNX model with the service's signature.

Its own graph stays unchanged. Nodes before it convert the task's levels to its input; nodes after it convert
its output to probabilities in the order of LABELS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from digits.errors import ModelRejected
from digits.models.runtime import INPUT, IS_DIGIT, OUTPUT
from digits.task import CHANNELS, CLASSES, LABELS, LEVELS, SHAPE, SIDE

if TYPE_CHECKING:
    from onnx import ModelProto

Dims = list[int | None]  # dimensions without the number of images; None: any
# Supported layouts of the input -> their dimensions without the number of images.
LAYOUTS = {"NCHW": [CHANNELS, SIDE, SIDE], "NHWC": [SIDE, SIDE, CHANNELS]}
if CHANNELS == 1:
    LAYOUTS |= {"NHW": [SIDE, SIDE], "flat": [LEVELS]}
TYPES = ("UINT8", "FLOAT", "FLOAT16", "DOUBLE")  # types of the input; the output has all but the first
PASSED = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze")  # nodes that keep probabilities unchanged
ALLOWED = (
    f"allowed is one input with the dimensions n, then {' or '.join(map(str, LAYOUTS.values()))}, of "
    f"uint8 or floats, and one output of floats with n and {CLASSES}"
)


@dataclass(frozen=True, slots=True)
class Adapted:
    model: "ModelProto"
    added: list[str]  # descriptions of what was added before and after the graph


def adapt(model: "ModelProto", labels: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Adapted:
    """Returns the model with the service's signature.

    `labels` are LABELS in the order of the model's outputs. A model that takes floats gets (level / 255 -
    mean) / std of each channel. Raises ModelRejected for a signature that cannot be adapted.
    """
    if _is_served(model) and list(labels) == list(LABELS):
        return Adapted(model, [])
    from onnx import compose

    model = compose.add_prefix(model, "imported/")
    graph = _Graph(model)
    given, kind, layout = graph.only_input()
    output, out_kind = graph.only_output()
    added = _feed(graph, given, kind, layout, mean, std)
    added += _answer(graph, output, out_kind, labels)
    return Adapted(graph.whole(), added)


def _is_served(model: "ModelProto") -> bool:
    outputs = [value.name for value in model.graph.output]
    return [value.name for value in model.graph.input] == [INPUT] and outputs in (
        [OUTPUT],
        [OUTPUT, IS_DIGIT],
    )


class _Graph:
    """A graph that gets nodes before and after it."""

    def __init__(self, model: "ModelProto") -> None:
        import onnx

        self._onnx = onnx
        self._model = model
        self._constants: list[Any] = []
        self.before: list[Any] = []
        self.behind: list[Any] = []

    def only_input(self) -> tuple[str, str, str]:
        """Returns the name, type and layout of the input. Raises ModelRejected."""
        constants = {constant.name for constant in self._model.graph.initializer}
        inputs = [value for value in self._model.graph.input if value.name not in constants]
        described = [self._described(value) for value in inputs]
        if len(inputs) == 1:
            _, kind, dims = described[0]
            fitting = [name for name, wanted in LAYOUTS.items() if _fits(dims, wanted)]
            if fitting and kind in TYPES:
                return inputs[0].name, kind, fitting[0]
        raise self._rejected("inputs", described)

    def only_output(self) -> tuple[str, str]:
        """Returns the name and type of the output. Raises ModelRejected."""
        described = [self._described(value) for value in self._model.graph.output]
        if len(described) == 1 and described[0][1] in TYPES[1:] and _fits(described[0][2], [CLASSES]):
            return self._model.graph.output[0].name, described[0][1]
        raise self._rejected("outputs", described)

    def _described(self, value: Any) -> tuple[str, str, Dims]:
        tensor = value.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        kind = self._onnx.TensorProto.DataType.Name(tensor.elem_type)
        return value.name.removeprefix("imported/"), kind, dims[1:]

    def _rejected(self, what: str, described: list[tuple[str, str, Dims]]) -> ModelRejected:
        found = "; ".join(
            f"{name} {kind.lower()} {['n', *('any' if dim is None else dim for dim in dims)]}".replace(
                "'", ""
            )
            for name, kind, dims in described
        )
        return ModelRejected(f"the model has the {what} {found or 'none'}; {ALLOWED}; export it accordingly")

    def is_probability(self, name: str) -> bool:
        """Whether a tensor comes out of a Softmax."""
        makers = {output: node for node in self._model.graph.node for output in node.output}
        node = makers.get(name)
        while node is not None and node.op_type in PASSED:
            node = makers.get(node.input[0])
        return node is not None and node.op_type == "Softmax"

    def constant(self, name: str, values: Sequence[float] | Sequence[int], kind: type) -> str:
        self._constants.append(self._onnx.numpy_helper.from_array(np.array(values, kind), name))
        return name

    def node(self, nodes: list[Any], kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        nodes.append(self._onnx.helper.make_node(kind, [*inputs], [output], **attributes))
        return output

    def whole(self) -> "ModelProto":
        helper, kinds, old = self._onnx.helper, self._onnx.TensorProto, self._model.graph
        graph = helper.make_graph(
            [*self.before, *old.node, *self.behind],
            "imported",
            [helper.make_tensor_value_info(INPUT, kinds.UINT8, ["batch", *SHAPE])],
            [helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, ["batch", CLASSES])],
            [*old.initializer, *self._constants],
            sparse_initializer=[*old.sparse_initializer],
        )
        model = helper.make_model(
            graph, opset_imports=self._model.opset_import, functions=[*self._model.functions],
            ir_version=self._model.ir_version, producer_name=self._model.producer_name,
            producer_version=self._model.producer_version,
        )  # fmt: skip
        try:
            self._onnx.checker.check_model(model)
        except self._onnx.checker.ValidationError as error:
            raise ModelRejected(f"the model is no valid ONNX: {str(error).splitlines()[0]}") from error
        return model  # type: ignore[no-any-return]


def _fits(dims: Dims, wanted: list[int]) -> bool:
    return len(dims) == len(wanted) and all(
        dim in (None, want) for dim, want in zip(dims, wanted, strict=True)
    )


def _feed(
    graph: _Graph, given: str, kind: str, layout: str, mean: Sequence[float], std: Sequence[float]
) -> list[str]:
    """Adds the nodes from the levels to the model's input; returns a description of them."""
    import onnx

    def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        return graph.node(graph.before, op, inputs, output, **attributes)

    shape = graph.constant("levels_shape", [-1, SIDE, SIDE, CHANNELS], np.int64)
    value, added = node("Reshape", [INPUT, shape], "levels"), []
    if kind != "UINT8":
        scale = graph.constant("scale", [1 / (255 * each) for each in std], np.float32)
        offset = graph.constant("offset", [-m / s for m, s in zip(mean, std, strict=True)], np.float32)
        value = node("Cast", [value], "floats", to=onnx.TensorProto.FLOAT)
        value = node("Add", [node("Mul", [value, scale], "scaled"), offset], "normalised")
        is_plain = set(mean) == {0} and set(std) == {1}
        added.append("level / 255" if is_plain else f"(level / 255 - {_said(mean)}) / {_said(std)}")
    if layout == "NCHW":
        value = node("Transpose", [value], "channels_first", perm=[0, 3, 1, 2])
    elif layout != "NHWC":
        wanted = graph.constant("layout", [-1, *LAYOUTS[layout]], np.int64)
        value = node("Reshape", [value, wanted], "arranged")
    added.append(f"levels as {layout}")
    if kind in ("UINT8", "FLOAT"):
        node("Identity", [value], given)
    else:
        node("Cast", [value], given, to=onnx.TensorProto.DataType.Value(kind))
    return added


def _answer(graph: _Graph, output: str, kind: str, labels: Sequence[str]) -> list[str]:
    """Adds the nodes from the model's output to the probabilities; returns a description of them."""
    import onnx

    value, added = output, []
    if kind != "FLOAT":
        value = graph.node(graph.behind, "Cast", [value], "as_floats", to=onnx.TensorProto.FLOAT)
    if not graph.is_probability(output):
        value = graph.node(graph.behind, "Softmax", [value], "probable", axis=1)
        added.append("a softmax behind its output")
    if list(labels) != list(LABELS):
        order = graph.constant("order", [labels.index(label) for label in LABELS], np.int64)
        value = graph.node(graph.behind, "Gather", [value, order], "ordered", axis=1)
        added.append("its outputs in the order of task.LABELS")
    graph.node(graph.behind, "Identity", [value], OUTPUT)
    return added


def _said(numbers: Sequence[float]) -> str:
    return (
        f"{numbers[0]:g}" if len(set(numbers)) == 1 else f"({', '.join(f'{number:g}' for number in numbers)})"
    )
