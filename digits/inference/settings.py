"""The `user_config` of serve_config.yaml."""

from pydantic import Field

from digits.settings import Settings
from digits.vision.levels import MOST_IMAGES

# A golden digit that takes longer, or a batch that runs longer, means that the model hangs.  Serve checks
# every health_check_period_s and restarts the replica after the third failed check.
WEDGED_AFTER_S = 3.0
# A golden digit may wait so long behind a full queue; the queue moves if no batch takes longer than this.
LONGEST_BATCH_S = WEDGED_AFTER_S / 2


class ServeSettings(Settings):
    model_uri: str = Field(
        min_length=1,
        description="The model to serve: a folder (a relative one is below the project), or "
        "models:/NAME@ALIAS or models:/NAME/VERSION in MLflow.",
    )
    max_batch_size: int = Field(64, ge=1, le=1024, description="Maximum number of images in one model call.")
    max_queued_images: int = Field(
        4096,
        ge=1,
        le=100_000,
        description="Images that may wait for the model, several for some pictures; past it 429.",
    )
    queue_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds that a request may take for decoding and model together; then it gets 504. "
        "Below RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S and request_timeout_s.",
    )
    model_cache: str = Field(
        "~/.cache/digits",
        description="Folder for models fetched from MLflow, one folder for each version. The ten used last "
        "are kept.",
    )
    alias_poll_s: float = Field(
        5.0,
        ge=0.1,
        le=3600,
        description="Seconds between two checks of the version that the alias of model_uri points to.",
    )
    batch_budget_ms: float = Field(
        250.0,
        gt=0,
        le=1000 * LONGEST_BATCH_S,
        description="Milliseconds that a batch of max_batch_size may take; a slower model is rejected. "
        "Health checks call a longer one hung.",
    )
    max_queued_work_s: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Seconds of decoding work that may wait; further requests get 429.",
    )
    reject_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A picture whose is_digit is below this gets 422; 0 disables it. Default: the threshold "
        "in the model's manifest, chosen on validation images.",
    )
    max_images_per_request: int = Field(
        256, ge=1, le=MOST_IMAGES, description="Maximum number of images in one request; more get 413."
    )
