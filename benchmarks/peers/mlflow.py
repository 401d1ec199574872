"""Saves the model for `mlflow models serve`: ONNX flavour with a signature.  The argument is the folder."""

import sys

import numpy as np

from digits.task import CLASSES, SIDE


def save(folder: str) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels = Schema([TensorSpec(np.dtype(np.uint8), (-1, SIDE, SIDE), "pixels")])
    probabilities = Schema([TensorSpec(np.dtype(np.float32), (-1, CLASSES), "probabilities")])
    mlflow.onnx.save_model(
        onnx.load("models/starter/model.onnx"),
        folder,
        signature=ModelSignature(pixels, probabilities),
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
        pip_requirements=[],  # the environment that saves it also serves it
    )


if __name__ == "__main__":
    save(sys.argv[1])
