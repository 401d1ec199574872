"""MLServer's types, which validate its own requests and answers, read those of a service.

    .clients/bin/python tests/clients/mlserver_types.py http://HOST:PORT digits/vision/golden.npz

Ends with an AssertionError or pydantic's error at the first body that is not the protocol's.
"""

import json
import sys
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from pydantic import BaseModel

MODEL = "/v2/models/digits"


def mlserver_types() -> Any:
    """Returns `mlserver.types`; the package around it would load a server, whose needs are not installed."""
    file = str(distribution("mlserver").locate_file("mlserver/types/__init__.py"))
    spec = spec_from_file_location("mlserver_types", file)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(url: str, body: object = None) -> Any:
    """Returns the JSON of an answer, also of an error."""
    content = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, content, {"Content-Type": "application/json"})) as response:
            return json.load(response)
    except HTTPError as error:
        return json.load(error)


def read_whole(model: type[BaseModel], body: object) -> Any:
    """Returns the body as the type reads it, which knows each of its members."""
    read = model.model_validate(body)
    assert read.model_dump() == body, read
    return read


def main(url: str, golden: str) -> None:
    types = mlserver_types()
    with np.load(golden) as data:
        images, labels = data["images"], data["labels"].tolist()
    read_whole(types.MetadataServerResponse, ask(f"{url}/v2"))
    metadata = read_whole(types.MetadataModelResponse, ask(f"{url}{MODEL}"))
    (pixels,) = [tensor for tensor in metadata.inputs if tensor.name == "pixels"]
    assert (pixels.datatype, pixels.shape) == ("UINT8", [-1, *images.shape[1:]])

    examples = ask(f"{url}/openapi.json")["components"]["examples"]
    requests = [example["value"] for name, example in examples.items() if name.startswith("infer-")]
    assert requests
    for request in requests:
        read_whole(types.InferenceRequest, request)

    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    for more in (
        {},
        {"id": "mine", "outputs": [{"name": "digit"}, {"name": "is_digit"}]},
        {"outputs": [{"name": "digit"}, {"name": "probabilities", "parameters": {"classification": 2}}]},
    ):
        request = read_whole(types.InferenceRequest, {"inputs": [tensor]} | more)
        answer = read_whole(types.InferenceResponse, ask(f"{url}{MODEL}/infer", request.model_dump()))
        asked = [output.name for output in request.outputs or metadata.outputs]
        assert [output.name for output in answer.outputs] == asked
        assert (answer.id, answer.outputs[0].data.root) == (request.id, labels)

    for path, body in (
        ("/v2/models/other", None),
        (f"{MODEL}/versions/none", None),
        (f"{MODEL}/infer", {"inputs": [tensor | {"datatype": "FP32"}]}),
        (f"{MODEL}/infer", {"inputs": []}),
    ):
        assert types.InferenceErrorResponse.model_validate(ask(url + path, body)).error, path


if __name__ == "__main__":
    main(*sys.argv[1:])
