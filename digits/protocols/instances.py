"""The bodies of TensorFlow Serving (`instances`) and of MLflow (also `inputs`, `dataframe_split`) -> images.

Both answer `{"predictions": [[a probability for each label], ...]}`, like a Keras model.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import to_json

from digits.errors import BadInput
from digits.inference.items import Item, check_count, item_in_text
from digits.inference.predictor import Predictions
from digits.protocols.json_bodies import validated
from digits.protocols.rows import rows_of
from digits.task import CLASSES
from digits.vision import levels

Images = Annotated[
    list[Any],
    Field(
        min_length=1,
        description=f"Images: arrays of levels, 0 to 255, as {levels.ONE}; or image files as base64, alone "
        'or as {"b64": ...}.',
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class Instances(_Body):
    """The body of TensorFlow Serving's row format; other keys are ignored."""

    instances: Images


class SplitFrame(_Body):
    """A pandas DataFrame in `split` orientation: a row for each image."""

    columns: list[Any] | None = None
    data: Images


class Invocation(_Body):
    """The body of MLflow's scoring server, with one of these keys; others are ignored."""

    instances: Images | None = None
    inputs: Images | dict[str, Any] | None = None  # checked once its length is: each error costs 4 us
    dataframe_split: SplitFrame | None = None


class Scores(BaseModel):
    predictions: list[Annotated[list[float], Field(min_length=CLASSES, max_length=CLASSES)]]


INSTANCES, INVOCATION = TypeAdapter(Instances), TypeAdapter(Invocation)


def from_instances(body: bytes, max_images: int) -> Sequence[Item]:
    """Returns the images of TensorFlow Serving's `{"instances": [...]}`. Raises BadInput."""
    return _items(validated(INSTANCES, body, max_images).instances, max_images)


def from_invocation(body: bytes, max_images: int) -> Sequence[Item]:
    """Returns the images of MLflow's `inputs`, `instances` or `dataframe_split`. Raises BadInput."""
    sent = validated(INVOCATION, body, max_images)
    rows = sent.dataframe_split.data if sent.dataframe_split else None
    given = [values for values in (sent.instances, sent.inputs, rows) if values is not None]
    if len(given) != 1:
        raise BadInput(
            "body_invalid", "Send an object with one of the keys `inputs`, `instances`, `dataframe_split`"
        )
    (values,) = given
    if isinstance(values, dict):
        if len(values) != 1:
            raise BadInput(
                "body_invalid", "`inputs` names several tensors or none; send one tensor, with images"
            )
        (values,) = values.values()
        if not isinstance(values, list) or not values:
            raise BadInput("body_invalid", "The tensor in `inputs` must be a list of at least one image")
    return _items(values, max_images)


def scores_body(predictions: Predictions) -> bytes:
    """Returns the answer of both protocols. Raises BadInput for an image that cannot be read."""
    return to_json({"predictions": rows_of(predictions).probabilities.tolist()})


def _items(values: list[Any], max_images: int) -> Sequence[Item]:
    check_count(len(values), max_images)
    return levels.from_arrays(values) if all(_is_array(value) for value in values) else [*map(_item, values)]


def _is_array(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1


def _item(value: Any) -> Item:
    """Returns an array or text, also from a list of one (a row of a table) or an object with one key."""
    while (isinstance(value, list | dict)) and len(value) == 1:
        (value,) = value.values() if isinstance(value, dict) else value
    return item_in_text(value) if isinstance(value, str) else levels.from_array(value)
