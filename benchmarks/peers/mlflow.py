"""The model as `mlflow models serve` takes it: ONNX flavour, with a signature, saved to the folder named."""

import sys

import numpy as np


def save(folder: str) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels = Schema([TensorSpec(np.dtype(np.uint8), (-1, 28, 28), "pixels")])
    probabilities = Schema([TensorSpec(np.dtype(np.float32), (-1, 10), "probabilities")])
    mlflow.onnx.save_model(
        onnx.load("models/starter/model.onnx"),
        folder,
        signature=ModelSignature(pixels, probabilities),
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
        pip_requirements=[],  # it is served by the environment that saved it
    )


if __name__ == "__main__":
    save(sys.argv[1])
