"""The JSON bodies: these models check what comes in, and describe it in /openapi.json."""

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

Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False, strict=True)]
Row = Annotated[list[Grey], Field(min_length=28, max_length=28)]
Grid = Annotated[list[Row], Field(min_length=28, max_length=28)]
Flat = Annotated[list[Grey], Field(min_length=784, max_length=784)]


def _shape_of_image(value: Any) -> str:
    return "grid" if isinstance(value, list) and value and isinstance(value[0], list) else "flat"


OneImage = Annotated[
    Annotated[Flat, Tag("flat")] | Annotated[Grid, Tag("grid")], Discriminator(_shape_of_image)
]


def explain(error: ValidationError) -> BadInput:
    """The first thing that is wrong with a JSON body, with its place in it."""
    first, *more = error.errors(include_url=False, include_input=False, include_context=False)
    if first["type"] == "json_invalid":
        return BadInput("body_malformed", first["msg"])
    place = ".".join(str(step) for step in _without_tags(first["loc"]))
    others = f" (and {len(more)} more)" if more else ""
    return BadInput("body_invalid", f"{place + ': ' if place else ''}{first['msg']}{others}")


def _without_tags(place: tuple[int | str, ...]) -> list[int | str]:
    """A union puts the tag of its branch into the place; its sender never wrote that."""
    return [step for step in place[1:] if step not in ("flat", "grid")]


def _kept_in_place(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """An item that does not match becomes its own error, so that its neighbours are answered."""
    try:
        return validate(value)
    except ValidationError as error:
        return explain(error)


OwnFault = WrapValidator(_kept_in_place)
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
    """Image files, answered in their order."""

    images: Annotated[list[Annotated[Encoded, OwnFault]], Field(min_length=1)]


class PixelsBody(_Body):
    """Grey levels 0 to 255: 28 rows of 28, or 784 numbers row by row."""

    pixels: OneImage


class PixelsListBody(_Body):
    """Images as grey levels, answered in their order."""

    pixels: Annotated[list[Annotated[OneImage, OwnFault]], Field(min_length=1)]


def _kind_of_body(value: Any) -> str | None:
    """What the sender meant, so that an error speaks of that form alone."""
    keys = [key for key in ("image", "images", "pixels") if isinstance(value, dict) and key in value]
    if len(keys) != 1:
        return None
    if keys == ["pixels"] and _is_list_of_images(value["pixels"]):
        return "pixels_list"
    return keys[0]


def _is_list_of_images(pixels: Any) -> bool:
    """Lists of lists, of which none could be a row of 28: one ragged image is one faulty image."""
    if not isinstance(pixels, list) or not pixels or not isinstance(pixels[0], list):
        return False
    return not any(
        isinstance(row, list) and len(row) == 28 and not isinstance(row[0], list) for row in pixels
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
                custom_error_message="give an object with exactly one of the keys image, images, pixels",
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
    digit: Annotated[int, Field(ge=0, le=9, examples=[7])]
    confidence: Annotated[float, Field(ge=0, le=1, description="The digit's probability.", examples=[0.9987])]
    probabilities: Annotated[list[float], Field(min_length=10, max_length=10, description="Of 0, 1, ... 9.")]


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was wrong, what is allowed, what to do.")]
    instance: str
    code: Annotated[str, Field(description="The stable name of the problem.")]


class FailedItem(BaseModel):
    """Stands in the place of an image that could not be read."""

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
    Field(description="In what the model is not what was asked for: a version that was refused, and why."),
]


class Ready(BaseModel):
    status: Literal["ready"]
    model: ModelName
    warning: Warned


class Reloaded(BaseModel):
    changed: bool
    model: ModelName
    warning: Warned
