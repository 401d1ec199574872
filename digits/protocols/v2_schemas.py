"""JSON of the Open Inference Protocol: these models validate requests and appear in /openapi.json."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from digits.task import CLASSES, NOUN, SHAPE

NAME = "digits"  # used in the paths, so that clients need no change when another registered model is served
PIXELS, IMAGE = "pixels", "image"  # a request has one of these inputs
LABEL, PROBABILITIES, IS_DIGIT = NOUN, "probabilities", "is_digit"  # outputs
MAX_ID = 256  # characters of a request's id

Parameters = Annotated[
    dict[str, Any], Field(description="Parameters of the protocol's extensions; unknown ones are ignored.")
]
Shape = Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=8)]


class _Request(BaseModel):
    """Unknown keys are ignored, as the protocol asks for; types are not converted."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class InputTensor(_Request):
    __doc__ = f"`pixels`: UINT8 {['n', *SHAPE]}, levels; or `image`: BYTES [n], image files.".replace("'", "")

    name: Annotated[str, Field(examples=[PIXELS])]
    shape: Annotated[Shape, Field(examples=[[1, *SHAPE]])]
    datatype: Annotated[str, Field(examples=["UINT8"])]
    parameters: Parameters = {}
    data: Annotated[
        Any,
        Field(
            description="Row by row, nested or flat: grey levels, or image files as base64 or data: URLs. "
            "Absent if `binary_data_size` says how many bytes of the tensor follow the JSON.",
        ),
    ] = None


class RequestedOutput(_Request):
    """`classification`: k gives the k most probable labels as texts; `binary_data`: bytes after the JSON."""

    name: Annotated[str, Field(examples=[PROBABILITIES])]
    parameters: Parameters = {}


class InferRequest(_Request):
    """The JSON of an inference request."""

    id: Annotated[str, Field(max_length=MAX_ID, description="Comes back in the answer.")] = ""
    parameters: Parameters = {}
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=8)]
    outputs: Annotated[
        list[RequestedOutput] | None, Field(max_length=8, description="Absent or empty: all outputs.")
    ] = None


INFER_REQUEST = TypeAdapter(InferRequest)


class OutputTensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Annotated[
        list[int] | list[float] | list[str] | None, Field(description="Row by row, flat; absent if binary.")
    ] = None


class InferResponse(BaseModel):
    __doc__ = (
        f"`{LABEL}` INT64 [n], `probabilities` FP32 [n, {CLASSES}] and, if the model has it, `is_digit` "
        "FP32 [n]; or those asked for."
    )

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: Annotated[list[int], Field(description="-1: any number of images.")]


class ModelMetadata(BaseModel):
    """The model's inputs and outputs; a request has one of the inputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: Annotated[
        dict[str, float],
        Field(description="`reject_below`: the `is_digit` below which POST /predict rejects a picture."),
    ]


class ConfiguredOutput(BaseModel):
    name: str
    data_type: Annotated[str, Field(examples=["TYPE_UINT8"])]
    dims: Annotated[list[int], Field(description="-1: any number of images.")]


class ConfiguredInput(ConfiguredOutput):
    optional: Annotated[bool, Field(description="A request has one of the inputs.")]


class ModelConfiguration(BaseModel):
    """The model's inputs and outputs, in Triton's form."""

    name: str
    platform: str
    max_batch_size: Annotated[int, Field(description="0: the shapes hold the number of images.")]
    input: list[ConfiguredInput]
    output: list[ConfiguredOutput]


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    live: bool


class ServerReady(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool
