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
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from digits.task import CHANNELS, CLASSES, LABELS, LEVELS, NOUN, READER, SIDE


def _list_of(count: int, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": count, "maxItems": count, "items": items}


def _rows_of(level: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of nested lists with the shape of an image."""
    return _list_of(SIDE, _list_of(SIDE, level if CHANNELS == 1 else _list_of(CHANNELS, level)))


EXAMPLE = min(7, CLASSES - 1)  # the label in examples
_LEVEL = {"type": "number", "minimum": 0, "maximum": 255}
_FLAT = _list_of(LEVELS, _LEVEL)
_ROWS = _rows_of(_LEVEL)
_ONE = {"anyOf": [_FLAT, _ROWS]}


_ENCODED = {"description": "An image file as base64, or as a data: URL.", "examples": ["iVBORw0KGgo..."]}
Encoded = Annotated[str, Field(json_schema_extra=_ENCODED)]
# bodies.py validates each item after it has counted them: an invalid one is its own error.
AnyEncoded = Annotated[Any, WithJsonSchema(_ENCODED | {"type": "string"})]


class _Body(BaseModel):
    """One key.  Pydantic's own check would make an error of 3 us for each of a million other keys."""

    model_config = ConfigDict(hide_input_in_errors=True, json_schema_extra={"additionalProperties": False})

    @model_validator(mode="before")
    @classmethod
    def check_keys(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > 1:
            other = next(key for key in value if key not in cls.model_fields)
            raise PydanticCustomError(
                "one_key", "Send an object with one key; {other} is not allowed", {"other": repr(other[:80])}
            )
        return value


class ImageBody(_Body):
    """One image file."""

    image: Encoded


class ImagesBody(_Body):
    """Image files; the answers have the same order."""

    images: Annotated[list[AnyEncoded], Field(min_length=1)]


class PixelsBody(_Body):
    """Levels, 0 to 255: one image, or a list of images, which gets a list in the same order."""

    # digits.vision.levels reads it: a shape belongs to the whole, which a schema cannot name in an error.
    pixels: Annotated[
        Any, WithJsonSchema({"anyOf": [_FLAT, _ROWS, {"type": "array", "minItems": 1, "items": _ONE}]})
    ]


def _kind_of_body(value: Any) -> str | None:
    """Returns which body this is meant to be, so that an error describes only that form."""
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


# The levels of an image that was given to the model.
Seen = Annotated[list[Any], WithJsonSchema(_rows_of(_LEVEL | {"type": "integer"}))]


class ModelName(BaseModel):
    name: Annotated[str, Field(examples=["digits"])]
    version: Annotated[str, Field(examples=["starter"])]


class Prediction(BaseModel):
    position: Annotated[
        int,
        Field(
            alias=NOUN,
            description="The position of `label` among the labels, from 0.",
            examples=[EXAMPLE],
            json_schema_extra={"enum": list(range(CLASSES))},
        ),
    ]
    label: Annotated[
        str,
        Field(
            description="The most probable label, as text.",
            examples=[LABELS[EXAMPLE]],
            json_schema_extra={"enum": list(LABELS)},
        ),
    ]
    confidence: Annotated[
        float, Field(ge=0, le=1, description="The probability of `label`.", examples=[0.9987])
    ]
    probabilities: Annotated[
        list[float],
        Field(
            min_length=CLASSES,
            max_length=CLASSES,
            description=f"The probabilities of {', '.join(LABELS)}, in this order; they add up to 1.",
        ),
    ]
    is_digit: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="How much the picture looks like one digit; absent if the model has no such output.",
            examples=[0.9991],
        ),
    ] = None
    pixels: Annotated[
        Seen | None,
        Field(
            description="Levels of the image that the model was given"
            f"{', light on black' if READER == 'digit' else ''}; only with `explain=true`. They can be sent "
            "back as `pixels`.",
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
    guess: Annotated[
        str | None, Field(description="The most probable label, although rejected; with `not_a_digit` only.")
    ] = None
    pixels: Annotated[
        Seen | None,
        Field(
            description="The image that the model was given of a rejected picture, as in a prediction; only "
            "with `explain=true`.",
        ),
    ] = None


class Failure(ProblemDocument):
    """An error of the Open Inference Protocol, TensorFlow Serving and MLflow: a problem, and its `error`."""

    error: Annotated[
        str, Field(description="The detail again, where clients of these protocols look for it.")
    ]


class FailedItem(BaseModel):
    """Takes the place of an image that could not be read."""

    error: ProblemDocument


class PredictResponse(Prediction):
    """The answer to one image."""

    model: ModelName
    request_id: str
    timing: Timing | None = None


class PredictManyResponse(BaseModel):
    """The answer to a list: one entry for each image, in the same order."""

    predictions: list[Prediction | FailedItem]
    model: ModelName
    request_id: str
    timing: Timing | None = None


class Health(BaseModel):
    status: Literal["ok"]


Warned = Annotated[
    str | None,
    Field(
        description="How the live model differs from the configuration: a rejected version or user_config "
        "with the reason, or other preprocessing. Null if it does not differ."
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
