"""The flags of a search, beside those of a training."""

from pydantic import Field

from digits.settings import Settings


class SearchSettings(Settings):
    trials: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Number of short trainings with different settings; the best settings are then trained "
        "in full. 0: no search.",
    )
    space: str = Field(
        "", description="TOML file with the settings that vary. Empty: the default of docs/search.md."
    )
    trial_epochs: int = Field(
        6, ge=1, le=1000, description="Maximum epochs of a trial; a weak one is stopped earlier."
    )
    max_concurrent: int = Field(
        1, ge=1, le=1024, description="Trials at a time; each has its own --num-workers workers."
    )
    search_minutes: float = Field(
        0,
        ge=0,
        le=100_000,
        description="Minutes for the trials of this command; then the best settings so far are trained in "
        "full. 0: no limit.",
    )
