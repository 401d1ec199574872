"""The flags of train_ray.py."""

from pydantic import Field

from digits.settings import Settings


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
