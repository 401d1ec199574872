"""JSON bodies and answers: these models validate requests and describe both in /openapi.json."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from digits.protocols.json_bodies import explain
from digits.task import CLASSES, LABELS, PIXELS, SIDE, Label

_GREY = {"type": "number", "minimum": 0, "maximum": 255}
_ROWS = {
    "type": "array",
    "minItems": SIDE,
    "maxItems": SIDE,
    "items": {"type": "array", "minItems": SIDE, "maxItems": SIDE, "items": _GREY},
}
_FLAT = {"type": "array", "minItems": PIXELS, "maxItems": PIXELS, "items": _GREY}
_ONE = {"anyOf": [_FLAT, _ROWS]}


def _valid_or_error(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """An invalid item becomes its own error, so that its neighbours are answered."""
    try:
        return validate(value)
    except ValidationError as error:
        return explain(error)


OrError = WrapValidator(_valid_or_error)
Encoded = Annotated[
    str,
    Field(description="An image file as base64, or as a data: URL.", examples=["iVBORw0KGgo..."]),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ImageBody(_Body):
    """One image file."""

    image: Encoded


class ImagesBody(_Body):
    """Image files; the answers come in their order."""

    images: Annotated[list[Annotated[Encoded, OrError]], Field(min_length=1)]


class PixelsBody(_Body):
    """Grey levels: one image, or a list of images that is answered by a list in its order."""

    # digits.vision.levels reads it: a shape belongs to the whole, which a schema cannot name in an error.
    pixels: Annotated[
        Any, WithJsonSchema({"anyOf": [_FLAT, _ROWS, {"type": "array", "minItems": 1, "items": _ONE}]})
    ]


def _kind_of_body(value: Any) -> str | None:
    """Which body this is meant to be, so that an error names that form alone."""
    keys = [key for key in ("image", "images", "pixels") if isinstance(value, dict) and key in value]
    return keys[0] if len(keys) == 1 else None


class PredictBody(
    RootModel[
        Annotated[
            Annotated[ImageBody, Tag("image")]
            | Annotated[ImagesBody, Tag("images")]
            | Annotated[PixelsBody, Tag("pixels")],
            Discriminator(
                _kind_of_body,
                custom_error_type="one_key",
                custom_error_message="Send an object with one of the keys `image`, `images`, `pixels`",
            ),
        ]
    ]
):
    """The JSON body of POST /predict."""


PREDICT_BODY = TypeAdapter(PredictBody)


Row = Annotated[
    list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=SIDE, max_length=SIDE)
]  # of an image


class ModelName(BaseModel):
    name: Annotated[str, Field(examples=["digits"])]
    version: Annotated[str, Field(examples=["starter"])]


class Prediction(BaseModel):
    digit: Annotated[Label, Field(examples=[LABELS[-3]], json_schema_extra={"enum": list(LABELS)})]
    confidence: Annotated[
        float, Field(ge=0, le=1, description="The probability of `digit`.", examples=[0.9987])
    ]
    probabilities: Annotated[
        list[float],
        Field(
            min_length=CLASSES,
            max_length=CLASSES,
            description=f"Of {', '.join(map(str, LABELS))}, in this order; they add up to 1.",
        ),
    ]
    is_digit: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="How much the picture looks like one digit; absent if the model cannot say.",
            examples=[0.9991],
        ),
    ] = None
    pixels: Annotated[
        list[Row] | None,
        Field(
            min_length=SIDE,
            max_length=SIDE,
            description="Grey levels of the picture that the model was given, light on black; only with "
            "`explain=true`. They can be sent back as `pixels`.",
        ),
    ] = None


class Timing(BaseModel):
    """How the request was handled; only with `explain=true`."""

    queue_ms: Annotated[float, Field(ge=0, description="Milliseconds in the batch queue.")]
    model_ms: Annotated[float, Field(ge=0, description="Milliseconds of the batch in the model.")]
    total_ms: Annotated[
        float,
        Field(ge=0, description="Milliseconds in the replica: reading pictures, queue and model."),
    ]
    batch_size: Annotated[
        int, Field(ge=0, description="Images in the batch, of all requests; 0 if none reached the model.")
    ]
    replica: Annotated[str, Field(description="The replica that answered.")]


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 defines it."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was wrong, what is allowed, and what to do.")]
    instance: str
    code: Annotated[str, Field(description="The stable name of the problem, for programs.")]
    pixels: Annotated[
        list[Row] | None,
        Field(
            min_length=SIDE,
            max_length=SIDE,
            description="What the model was given of a picture that shows no digit, as in a prediction; only "
            "with `explain=true`.",
        ),
    ] = None


class Failure(ProblemDocument):
    """An error of the Open Inference Protocol, TensorFlow Serving and MLflow: a problem, and its `error`."""

    error: Annotated[
        str, Field(description="The detail again, where clients of these protocols look for it.")
    ]


class FailedItem(BaseModel):
    """In the place of an image that could not be read."""

    error: ProblemDocument


class PredictResponse(Prediction):
    """The answer to one image."""

    model: ModelName
    request_id: str
    timing: Timing | None = None


class PredictManyResponse(BaseModel):
    """The answer to a list: one entry for each image, in their order."""

    predictions: list[Prediction | FailedItem]
    model: ModelName
    request_id: str
    timing: Timing | None = None


class Health(BaseModel):
    status: Literal["ok"]


Warned = Annotated[
    str | None,
    Field(
        description="How the live model differs from what was configured: a version that was rejected and "
        "why, or other preprocessing. Null if it does not differ."
    ),
]


class Ready(BaseModel):
    status: Literal["ready"]
    model: ModelName
    warning: Warned


class Reloaded(BaseModel):
    changed: bool
    model: ModelName
    warning: Warned
