"""Limits and API keys of the gateway, from environment variables: no config file reaches Ray's proxies."""

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field

from digits.settings import Settings

EDGE_PREFIX = "DIGITS_EDGE_"


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
