"""The `user_config` of serve_config.yaml."""

from pydantic import Field

from digits.settings import Settings


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
