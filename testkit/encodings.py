"""One digit, or a list of them, in every form that POST /predict takes."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from digits.task import Images, Pixels

BOUNDARY = "between-the-parts"


@dataclass(frozen=True)
class Body:
    content: bytes
    content_type: str | None
    headers: tuple[tuple[str, str], ...] = ()  # more of them


def v2_body(images: Images, **more: object) -> Body:
    """Returns a request of the Open Inference Protocol with a binary tensor, and with `more` JSON."""
    size = {"parameters": {"binary_data_size": images.nbytes}}
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": images.shape} | size
    head = json.dumps({"inputs": [tensor], **more}).encode()
    length = ("Inference-Header-Content-Length", str(len(head)))
    return Body(head + images.tobytes(), "application/octet-stream", (length,))


def image_file(pixels: Pixels, file_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


def base64_png(pixels: Pixels) -> str:
    return base64.b64encode(image_file(pixels)).decode()


def form(*files: bytes, text_field: str | None = None) -> Body:
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n'
        % (BOUNDARY.encode(), file)
        for file in files
    ]
    if text_field is not None:
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{text_field}\r\n'.encode()
        )
    end = f"--{BOUNDARY}--\r\n".encode()
    return Body(b"".join(parts) + end, f"multipart/form-data; boundary={BOUNDARY}")


def json_body(content: object) -> Body:
    return Body(json.dumps(content).encode(), "application/json")


def _wrapped(pixels: Pixels) -> str:
    return base64.encodebytes(image_file(pixels)).decode()


# Lossless forms of one image: the service must give the same answer to all of them.
ONE: dict[str, Callable[[Pixels], Body]] = {
    "png": lambda pixels: Body(image_file(pixels), "image/png"),
    "png sent by curl --data-binary": lambda pixels: Body(
        image_file(pixels), "application/x-www-form-urlencoded"
    ),
    "png said to be bytes": lambda pixels: Body(image_file(pixels), "application/octet-stream"),
    "png of no said type": lambda pixels: Body(image_file(pixels), None),
    "png said to be jpeg": lambda pixels: Body(image_file(pixels), "image/jpeg"),
    "bmp": lambda pixels: Body(image_file(pixels, "BMP"), "image/bmp"),
    "gif": lambda pixels: Body(image_file(pixels, "GIF"), "image/gif"),
    "lossless webp": lambda pixels: Body(image_file(pixels, "WEBP", lossless=True), "image/webp"),
    "rgb png": lambda pixels: Body(image_file(np.stack([pixels] * 3, axis=2)), "image/png"),
    "form with one file": lambda pixels: form(image_file(pixels)),
    "base64": lambda pixels: json_body({"image": base64_png(pixels)}),
    "base64 in lines": lambda pixels: json_body({"image": _wrapped(pixels)}),
    "data url": lambda pixels: json_body({"image": f"data:image/png;base64,{base64_png(pixels)}"}),
    "28 rows": lambda pixels: json_body({"pixels": pixels.tolist()}),
    "784 numbers": lambda pixels: json_body({"pixels": pixels.ravel().tolist()}),
    "784 floats": lambda pixels: json_body({"pixels": pixels.ravel().astype(float).tolist()}),
}

MANY: dict[str, Callable[[list[Pixels]], Body]] = {
    "form with files": lambda images: form(*map(image_file, images)),
    "base64 list": lambda images: json_body({"images": [base64_png(pixels) for pixels in images]}),
    "list of rows": lambda images: json_body({"pixels": [pixels.tolist() for pixels in images]}),
    "list of 784 numbers": lambda images: json_body(
        {"pixels": [pixels.ravel().tolist() for pixels in images]}
    ),
    "grey levels as bytes": lambda images: Body(np.stack(images).tobytes(), "application/octet-stream"),
    "mixed list": lambda images: json_body(
        {"pixels": [p.tolist() if i % 2 else p.ravel().tolist() for i, p in enumerate(images)]}
    ),
}
