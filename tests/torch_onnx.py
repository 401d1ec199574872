"""ONNX files as PyTorch exports them, made without PyTorch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from digits.task import SIDE


def as_torch_exports(
    weights: NDArray[np.float32],
    dims: Sequence[int | str] = ("batch_size", 1, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    ends: Sequence[str] = (),
) -> Any:
    """A linear model as torch.onnx.export writes one: Flatten, Gemm with its weight transposed, own names."""
    classes = len(weights)
    numbers = weights.astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node("Flatten", ["input"], ["/Flatten_output_0"], axis=1),
        helper.make_node("Gemm", ["/Flatten_output_0", "fc.weight"], ["logits"], transB=1),
    ]
    last = "logits"
    for end in ends:
        attributes: dict[str, Any] = {"axis": 1} if "max" in end else {}
        nodes.append(helper.make_node(end, [last], [f"/{end}_output_0"], **attributes))
        last = f"/{end}_output_0"
    graph = helper.make_graph(
        nodes, "main_graph", [helper.make_tensor_value_info("input", kind, dims)],
        [helper.make_tensor_value_info(last, kind, ["batch_size", classes])],
        [numpy_helper.from_array(numbers, "fc.weight")],
    )  # fmt: skip
    return helper.make_model(
        graph, producer_name="pytorch", producer_version="2.8.0",
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
