"""Every knob: its name with the unit, type, default, bounds and meaning.  Nothing is set elsewhere.

`ServeSettings` is the `user_config` of serve_config.yaml; `EdgeSettings` come from the environment, for no
config reaches Ray's proxies; `TrainSettings` are the flags of train_ray.py.
"""

import os
import re
from argparse import ArgumentParser, BooleanOptionalAction
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator


class Settings(BaseModel):
    """Frozen; a key nobody knows is refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        for key in values.keys() - cls.model_fields.keys():
            near = get_close_matches(key, cls.model_fields, n=1, cutoff=0)[0]
            raise ValueError(f"unknown setting {key!r}; the nearest known one is {near!r}")
        return values


EDGE_PREFIX = "DIGITS_EDGE_"
SomeSettings = TypeVar("SomeSettings", bound=Settings)


class ServeSettings(Settings):
    model_uri: str = Field(
        min_length=1,
        description="A folder with a manifest, or models:/NAME@ALIAS or models:/NAME/VERSION in MLflow.",
    )
    max_batch_size: int = Field(64, ge=1, le=1024, description="Most images one model call takes.")
    max_queued_images: int = Field(
        1024, ge=1, le=100_000, description="Most images that wait for the model; past it: 429."
    )
    queue_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="An image that has waited longer is dropped before the model: 504.",
    )
    model_cache: str = Field(
        "~/.cache/digits",
        description="Folder for models fetched from MLflow; one folder a version.",
    )
    alias_poll_s: float = Field(
        5.0,
        ge=0.1,
        le=3600,
        description="How often a replica asks MLflow where the alias of model_uri points.",
    )
    batch_budget_ms: float = Field(
        250.0,
        gt=0,
        le=10_000,
        description="A model that takes longer for a batch of max_batch_size is refused.",
    )
    max_images_per_request: int = Field(
        256, ge=1, le=4096, description="Most images in one request; past it: 413."
    )


def _read_hashes(value: object) -> object:
    """SHA-256 sums apart by commas or white space; or, after an @, a file of them with # for comments."""
    if not isinstance(value, str):
        return value
    if value.startswith("@"):
        try:
            value = re.sub(r"#.*", "", Path(value[1:]).read_text())
        except OSError as error:
            raise ValueError(f"its file cannot be read: {error.strerror}") from error
    return tuple(re.findall(r"[^,\s]+", value))


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Hashes = Annotated[tuple[Sha256, ...], BeforeValidator(_read_hashes)]


class EdgeSettings(Settings):
    # What is refused is not shown: it may be a key that was set where its hash belongs.
    model_config = ConfigDict(hide_input_in_errors=True)

    max_body_bytes: int = Field(
        8 * 2**20, ge=1024, le=64 * 2**20, description="Largest request body; past it: 413."
    )
    body_timeout_s: float = Field(
        10, gt=0, le=300, description="A body that has not arrived by then is given up: 408."
    )
    max_headers: int = Field(64, ge=16, le=1000, description="Most headers of a request; past it: 431.")
    max_header_bytes: int = Field(
        16 * 2**10, ge=1024, le=2**20, description="Most bytes of its headers together; past it: 431."
    )
    api_keys_sha256: Hashes = Field(
        (),
        repr=False,
        description="SHA-256 of each key that may ask, or @FILE of them; none: whoever reaches it may.",
    )
    admin_keys_sha256: Hashes = Field(
        (), repr=False, description="The same for POST /admin/reload; none: nobody may."
    )

    @classmethod
    def from_environment(cls) -> Self:
        return cls(
            **{
                name.removeprefix(EDGE_PREFIX).lower(): value
                for name, value in os.environ.items()
                if name.startswith(EDGE_PREFIX)
            }
        )


class TrainSettings(Settings):
    data: str = Field(
        "mnist", description="mnist, sklearn-digits, or an .npz file laid out as Keras' mnist.npz."
    )
    epochs: int = Field(40, ge=1, le=1000, description="Passes over the training images.")
    batch_size: int = Field(128, ge=1, le=8192, description="Images a step, over all workers.")
    learning_rate: float = Field(
        0.002, gt=0, le=1, description="Peak, after one epoch of warm-up; then a cosine to 0."
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decoupled decay.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of features dropped before the last layer.")
    label_smoothing: float = Field(
        0.02, ge=0, lt=1, description="Share of a label spread over all ten digits."
    )
    patience: int = Field(15, ge=1, le=1000, description="Stop after this many epochs without a better one.")
    validation_share: float = Field(
        0.08, gt=0, lt=1, description="Training images kept back to choose the best epoch."
    )
    seed: int = Field(1, ge=0, lt=2**31, description="Of initial weights, order and augmentation.")
    rotation_deg: float = Field(12, ge=0, le=45, description="Augmentation: rotation to either side.")
    scale: float = Field(
        0.12, ge=0, le=0.5, description="Augmentation: share larger or smaller, each way of its own."
    )
    slant: float = Field(0.2, ge=0, le=0.5, description="Augmentation: shear to either side, pixels a pixel.")
    shift_px: float = Field(1.5, ge=0, le=4, description="Augmentation: shift in each direction.")
    thickness: float = Field(
        0.6, ge=0, le=1, description="Augmentation: share of one pixel that strokes gain or lose."
    )
    blur: float = Field(
        0.5, ge=0, le=1, description="Augmentation: share of a 3x3 average mixed in or taken out."
    )
    num_workers: int = Field(1, ge=1, le=1024, description="Ray Train workers; more than one train in step.")
    cpus_per_worker: int = Field(2, ge=1, le=256, description="CPUs that each worker reserves and uses.")
    use_gpu: bool = Field(False, description="Reserve one GPU for each worker.")
    max_failures: int = Field(3, ge=0, le=100, description="Worker deaths survived before the run fails.")
    storage_path: str = Field(
        "out/ray", description="Folder, or s3:// address, for checkpoints; all nodes must reach it."
    )
    name: str = Field(
        "",
        pattern=r"^[\w.-]*$",
        description="Of the run; the same name continues an interrupted one. Empty: digits and the time.",
    )
    output: str = Field("out", description="Folder that gets one folder a run: model, manifest, plots.")
    model_name: str = Field(
        "digits", pattern=r"^[\w.-]+$", description="Registered model that gets the new version."
    )


def add_flags(parser: ArgumentParser, settings: type[Settings]) -> None:
    """A flag for each setting, with its type, default and meaning; the settings check the bounds."""
    for name, field in settings.model_fields.items():
        kind: Any = field.annotation
        how: dict[str, Any] = {"action": BooleanOptionalAction} if kind is bool else {"type": kind}
        parser.add_argument(
            f"--{name.replace('_', '-')}", default=field.default, help=field.description, **how
        )


def from_flags(parser: ArgumentParser, settings: type[SomeSettings], values: dict[str, Any]) -> SomeSettings:
    """The settings, or the parser's usual end with what is out of bounds."""
    try:
        return settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
        parser.error(f"--{flag}: {first['msg']}, not {first['input']!r}")
