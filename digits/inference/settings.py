"""The `user_config` of serve_config.yaml."""

from pydantic import Field

from digits.settings import Settings


class ServeSettings(Settings):
    model_uri: str = Field(
        min_length=1,
        description="The model to serve: a folder, or models:/NAME@ALIAS or models:/NAME/VERSION in MLflow.",
    )
    max_batch_size: int = Field(64, ge=1, le=1024, description="Most images in one call of the model.")
    max_queued_images: int = Field(
        4096,
        ge=1,
        le=100_000,
        description="Most images, several for some pictures, that wait for the model; past it 429.",
    )
    queue_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds a request may wait for decoding and model together; then it gets 504.",
    )
    model_cache: str = Field(
        "~/.cache/digits",
        description="Folder for models fetched from MLflow, one folder for each version.",
    )
    alias_poll_s: float = Field(
        5.0,
        ge=0.1,
        le=3600,
        description="Seconds between two checks of where the alias of model_uri points.",
    )
    batch_budget_ms: float = Field(
        250.0,
        gt=0,
        le=10_000,
        description="Most milliseconds for a batch of max_batch_size; a slower model is rejected.",
    )
    max_queued_work_s: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Most seconds that pictures may wait to be decoded; further requests get 429.",
    )
    reject_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A picture whose is_digit is below this gets 422; 0 refuses none. Default: the threshold "
        "in the model's manifest, chosen on validation images.",
    )
    max_images_per_request: int = Field(
        256, ge=1, le=4096, description="Most images in one request; a request with more gets 413."
    )
