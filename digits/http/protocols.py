"""The routes of the protocols besides POST /predict, around the same predictor.

Most paths may name a version of the model; a version other than the live one gets 404.
"""

import re
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from digits.http.disconnect import Disconnect
from digits.http.messages import ON_LOOP_BYTES, off_loop, read_body, send_body
from digits.inference.items import Item
from digits.inference.predictor import Predictor
from digits.protocols import v2
from digits.protocols.instances import from_instances, from_invocation, scores_body
from digits.protocols.v2_schemas import NAME

ItemsOf = Callable[[bytes, int], Sequence[Item]]  # a body and the maximum number of images -> images
V2_MODEL, V1_MODEL = f"/v2/models/{NAME}", f"/v1/models/{NAME}"
VERSION = "/versions/{version}"


class _Versioned(Route):
    """A route whose version contains no colon, because a colon begins TensorFlow Serving's verbs.

    It is not a path convertor: Ray's proxy builds routes from the same paths, for the names in its metrics,
    and would not know the convertor.
    """

    def __init__(self, path: str, endpoint: Callable[..., object], method: str) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.path_regex = re.compile(self.path_regex.pattern.replace("[^/]+", "[^/:]+"))


def protocol_routes(predictor: Predictor) -> list[Route]:
    """Returns the routes of the Open Inference Protocol, TensorFlow Serving's REST API and MLflow."""
    live = predictor.live

    def check(request: Request) -> None:
        v2.check_version(request.path_params.get("version"), live.ready().version)

    async def is_live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def is_ready(_: Request) -> Response:
        live.ready()
        return JSONResponse({"ready": True})

    async def is_model_ready(request: Request) -> Response:
        check(request)
        return JSONResponse({"name": NAME, "ready": True})

    async def server(_: Request) -> Response:
        return JSONResponse(v2.SERVER)

    async def model(request: Request) -> Response:
        check(request)
        return JSONResponse(v2.metadata(live.ready()))

    async def config(request: Request) -> Response:
        check(request)
        return JSONResponse(v2.configuration(live.ready()))

    async def status(request: Request) -> Response:
        check(request)
        status = {
            "version": live.ready().version.version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return JSONResponse({"name": NAME, "ready": True, "model_version_status": [status]})

    infer = _Infer(predictor)
    predict, invoke = _Scores(predictor, from_instances), _Scores(predictor, from_invocation)
    return [
        Route("/v2/health/live", is_live),
        Route("/v2/health/ready", is_ready),
        Route("/v2", server),
        *_with_version(V2_MODEL, "", model),
        *_with_version(V2_MODEL, "/config", config),
        *_with_version(V2_MODEL, "/ready", is_model_ready),
        *_with_version(V2_MODEL, "/infer", infer, "POST"),
        *_with_version(V1_MODEL, "", status),
        *_with_version(V1_MODEL, ":predict", predict, "POST"),
        Route("/invocations", invoke, methods=["POST"]),
    ]


def _with_version(path: str, end: str, endpoint: Callable[..., object], method: str = "GET") -> list[Route]:
    return [_Versioned(path + middle + end, endpoint, method) for middle in ("", VERSION)]


class _Infer:
    """POST .../infer of the Open Inference Protocol, as plain ASGI like _Predict of app.py."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        classifier, version = self._predictor.live.ready(), scope["path_params"].get("version")
        v2.check_version(version, classifier.version)
        json_length = dict(scope["headers"]).get(v2.HEADER_LENGTH)
        body = await read_body(receive)
        most = classifier.settings.max_images_per_request
        request = await off_loop(len(body) > ON_LOOP_BYTES, v2.parse, body, json_length, most)
        predictions = await self._predictor.predict(request.items, Disconnect(receive))
        v2.check_version(version, predictions.model)  # the live version may have changed meanwhile
        answer = v2.respond(request, predictions)
        if answer.json_length is None:
            await send_body(send, answer.body, b"application/json")
        else:
            length = (v2.HEADER_LENGTH, str(answer.json_length).encode())
            await send_body(send, answer.body, b"application/octet-stream", [length])


class _Scores:
    """POST of a protocol whose answer is the probabilities of each image."""

    def __init__(self, predictor: Predictor, items_of: ItemsOf) -> None:
        self._predictor = predictor
        self._items_of = items_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        classifier = self._predictor.live.ready()
        v2.check_version(scope["path_params"].get("version"), classifier.version)
        body = await read_body(receive)
        most = classifier.settings.max_images_per_request
        items = await off_loop(len(body) > ON_LOOP_BYTES, self._items_of, body, most)
        predictions = await self._predictor.predict(items, Disconnect(receive))
        await send_body(send, scores_body(predictions), b"application/json")
