"""The flags of train_ray.py."""

from typing import Self

from pydantic import Field, model_validator

from digits.registry.versions import NAME
from digits.settings import Settings
from digits.task import DATA, IS_DRAWN

DRAWN = 0.65 if IS_DRAWN else 0.0


class TrainSettings(Settings):
    data: str = Field(
        DATA,
        description="Training data: mnist, sklearn-digits, or an .npz file like Keras' mnist.npz. Streamed: "
        "pictures in folders named by label, Parquet or WebDataset shards, on disk or at an fsspec address.",
    )
    drawn: float = Field(
        DRAWN,
        ge=0,
        le=10,
        description="Drawn images added for each training image: digits in other handwriting, and images "
        "without a digit. 0: none, and the model has no output is_digit.",
    )
    epochs: int = Field(16, ge=1, le=1000, description="Maximum number of passes over the training images.")
    batch_size: int = Field(
        256, ge=1, le=8192, description="Images in one training step; the workers share them equally."
    )
    learning_rate: float = Field(
        0.003, gt=0, le=1, description="Highest learning rate: reached after one epoch, then a cosine to 0."
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay of AdamW.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of features dropped before the last layer.")
    label_smoothing: float = Field(
        0.02, ge=0, lt=1, description="Share of each label's weight that is spread over all classes."
    )
    patience: int = Field(
        15, ge=1, le=1000, description="Training stops after this many epochs without a better one."
    )
    validation_share: float = Field(
        0.08, gt=0, lt=1, description="Share of the training images held back to choose the best epoch."
    )
    seed: int = Field(
        1, ge=0, lt=2**31, description="Seed for initial weights, dropout, image order and augmentation."
    )
    rotation_deg: float = Field(
        12, ge=0, le=45, description="Augmentation: largest rotation to either side, in degrees."
    )
    scale: float = Field(
        0.12, ge=0, le=0.5, description="Augmentation: largest relative change of width, and of height."
    )
    slant: float = Field(
        0.2, ge=0, le=0.5, description="Augmentation: largest shear to either side, in pixels per row."
    )
    shift_px: float = Field(
        1.5, ge=0, le=4, description="Augmentation: largest shift in each direction, in pixels."
    )
    thickness: float = Field(
        0.6, ge=0, le=1, description="Augmentation: largest change at each side of a stroke, in pixels."
    )
    blur: float = Field(
        0.5, ge=0, le=1, description="Augmentation: largest share of a 3x3 average mixed in or subtracted."
    )
    num_workers: int = Field(1, ge=1, le=1024, description="Ray Train workers; they train in step.")
    min_workers: int = Field(
        0,
        ge=0,
        le=1024,
        description="Minimum number of workers: the training continues with that many when nodes are lost, "
        "and grows again to --num-workers. 0: it waits for all workers.",
    )
    cpus_per_worker: int = Field(2, ge=1, le=256, description="CPUs that Ray reserves for each worker.")
    use_gpu: bool = Field(False, description="Reserve one GPU for each worker.")
    mixed_precision: bool = Field(
        False,
        description="Compute in bfloat16 and keep weights in float32. For GPUs; CPUs without instructions "
        "for bfloat16 become slower.",
    )
    max_failures: int = Field(
        3, ge=0, le=100, description="Restarts after worker failures; the next failure ends the training."
    )
    checkpoint_steps: int = Field(
        2000, ge=20, le=1_000_000, description="Steps between two checkpoints within an epoch."
    )
    storage_path: str = Field(
        "out/ray", description="Folder or s3:// address for checkpoints; every node must reach it."
    )
    name: str = Field(
        "",
        pattern=rf"^({NAME})?$",
        description="Run name. The name of an interrupted run continues it. Empty: digits- and the time.",
    )
    output: str = Field("out", description="Parent of each run's folder with its model, manifest and plots.")
    model_name: str = Field(
        "digits", pattern=f"^{NAME}$", description="Name of the registered model that gets a new version."
    )

    @model_validator(mode="after")
    def check_drawn(self) -> Self:
        if self.drawn and not IS_DRAWN:
            raise ValueError(f"--drawn {self.drawn:g} draws digits, but the task is another; use --drawn 0")
        return self

    @model_validator(mode="after")
    def check_equal_shares(self) -> Self:
        if self.batch_size % self.num_workers:
            fitting = self.batch_size // self.num_workers * self.num_workers or self.num_workers
            raise ValueError(
                f"--batch-size {self.batch_size} must be a multiple of --num-workers {self.num_workers}, "
                f"because the workers share each batch equally; for example --batch-size {fitting}"
            )
        if self.min_workers > self.num_workers:
            raise ValueError(
                f"--min-workers {self.min_workers} must not exceed --num-workers {self.num_workers}"
            )
        return self
