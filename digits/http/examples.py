"""Examples of bodies for the OpenAPI document. Each can be sent as it is; all give the same label."""

import base64
import io
from functools import cache
from typing import Any

from PIL import Image

from digits.http.schemas import EXAMPLE
from digits.protocols.v2_schemas import IMAGE, PIXELS, PROBABILITIES
from digits.task import Pixels
from digits.vision.golden import golden_digits

Examples = dict[str, dict[str, Any]]  # operationId -> name of an example -> its body


@cache
def examples() -> Examples:
    """Returns the example bodies, made from a golden image; the texts contain its PNG."""
    pixels = _pixels()
    rows, file = pixels.tolist(), png_text()
    tensor = {"name": PIXELS, "datatype": "UINT8", "shape": [1, *pixels.shape], "data": [rows]}
    files = {"name": IMAGE, "datatype": "BYTES", "shape": [1], "data": [file]}
    top = {"name": PROBABILITIES, "parameters": {"classification": 3}}
    return {
        "predict": {
            "one file as base64": {"image": file},
            "many files": {"images": [f"data:image/png;base64,{file}", file]},
            "grey levels": {"pixels": rows},
        },
        "infer": {
            "grey levels": {"id": "42", "inputs": [tensor]},
            "a file": {"inputs": [files]},
            "the three most probable labels": {"inputs": [tensor], "outputs": [top]},
        },
        "predict_instances": {
            "grey levels": {"instances": [rows]},
            "a file": {"instances": [{"b64": file}]},
        },
        "invoke": {
            "a tensor": {"inputs": [rows]},
            "a row of a table": {"dataframe_split": {"data": [pixels.ravel().tolist()]}},
        },
    }


@cache
def png_text() -> str:
    """Returns the image's PNG as base64."""
    file = io.BytesIO()
    Image.fromarray(_pixels()).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _pixels() -> Pixels:
    images, labels = golden_digits()
    pixels: Pixels = images[labels.tolist().index(EXAMPLE)]
    return pixels
