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
    WrapValidator,
)

from digits.errors import BadInput
from digits.task import CLASSES, LABELS, PIXELS, SIDE, Label

Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False, strict=True)]
Row = Annotated[list[Grey], Field(min_length=SIDE, max_length=SIDE)]
Grid = Annotated[list[Row], Field(min_length=SIDE, max_length=SIDE)]
Flat = Annotated[list[Grey], Field(min_length=PIXELS, max_length=PIXELS)]


def _shape_of_image(value: Any) -> str:
    return "grid" if isinstance(value, list) and value and isinstance(value[0], list) else "flat"


OneImage = Annotated[
    Annotated[Flat, Tag("flat")] | Annotated[Grid, Tag("grid")], Discriminator(_shape_of_image)
]


def explain(error: ValidationError) -> BadInput:
    """The problem that names the first fault of a JSON body and where it is."""
    first, *more = error.errors(include_url=False, include_input=False, include_context=False)
    if first["type"] == "json_invalid":
        return BadInput("body_malformed", first["msg"])
    place = ".".join(str(step) for step in _without_tags(first["loc"]))
    others = f" (and {len(more)} more)" if more else ""
    return BadInput("body_invalid", f"{place + ': ' if place else ''}{first['msg']}{others}")


def _without_tags(place: tuple[int | str, ...]) -> list[int | str]:
    """Without the names that pydantic adds for the branch of a union: the client never wrote them."""
    return [step for step in place[1:] if step not in ("flat", "grid")]


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
    __doc__ = f"Grey levels 0 to 255: {SIDE} rows of {SIDE}, or {PIXELS} numbers row by row."

    pixels: OneImage


class PixelsListBody(_Body):
    """Images as grey levels; the answers come in their order."""

    pixels: Annotated[list[Annotated[OneImage, OrError]], Field(min_length=1)]


def _kind_of_body(value: Any) -> str | None:
    """Which body this is meant to be, so that an error names that form alone."""
    keys = [key for key in ("image", "images", "pixels") if isinstance(value, dict) and key in value]
    if len(keys) != 1:
        return None
    if keys == ["pixels"] and _is_list_of_images(value["pixels"]):
        return "pixels_list"
    return keys[0]


def _is_list_of_images(pixels: Any) -> bool:
    """Whether it is a list of lists of which none could be a row: a ragged image is one invalid image."""
    if not isinstance(pixels, list) or not pixels or not isinstance(pixels[0], list):
        return False
    return not any(
        isinstance(row, list) and len(row) == SIDE and not isinstance(row[0], list) for row in pixels
    )


class PredictBody(
    RootModel[
        Annotated[
            Annotated[ImageBody, Tag("image")]
            | Annotated[ImagesBody, Tag("images")]
            | Annotated[PixelsBody, Tag("pixels")]
            | Annotated[PixelsListBody, Tag("pixels_list")],
            Discriminator(
                _kind_of_body,
                custom_error_type="one_key",
                custom_error_message="send an object with exactly one of the keys image, images, pixels",
            ),
        ]
    ]
):
    """The JSON body of POST /predict."""


PREDICT_BODY = TypeAdapter(PredictBody)


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


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 defines it."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was wrong, what is allowed, and what to do.")]
    instance: str
    code: Annotated[str, Field(description="The stable name of the problem, for programs.")]


class FailedItem(BaseModel):
    """In the place of an image that could not be read."""

    error: ProblemDocument


class PredictResponse(Prediction):
    """The answer to one image."""

    model: ModelName
    request_id: str


class PredictManyResponse(BaseModel):
    """The answer to a list: one entry for each image, in their order."""

    predictions: list[Prediction | FailedItem]
    model: ModelName
    request_id: str


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
