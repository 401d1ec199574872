"""Limits and API keys of the gateway, read from environment variables: Ray's proxies read no other config."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from digits.settings import Settings

EDGE_PREFIX = "DIGITS_EDGE_"
HASH_OF_NOTHING = hashlib.sha256(b"").hexdigest()


def _split(value: object) -> object:
    """Returns the parts of a text between commas and white space; another value as it is."""
    return tuple(re.findall(r"[^,\s]+", value)) if isinstance(value, str) else value


def _read_hashes(value: object) -> object:
    """Returns the parts of a text, or of @FILE, in which # starts a comment."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            value = re.sub(r"#.*", "", Path(value[1:]).read_text())
        except OSError as error:
            raise ValueError(f"the file after @ cannot be read: {error.strerror}") from error
    return _split(value)


def _read_some_hashes(value: object) -> object:
    """The same, but raises ValueError for a text or a file that is set and holds no hash."""
    hashes = _read_hashes(value)
    if value and not hashes:
        raise ValueError(
            "it holds no hash: without one every client is accepted; unset the variable if that is intended"
        )
    return hashes


def _check_not_of_nothing(value: str) -> str:
    """Returns the hash. Raises ValueError for that of an empty key, which every client could send."""
    if value == HASH_OF_NOTHING:
        raise ValueError(
            "this is the hash of an empty key, which every client could send: the variable with the key was "
            'not set; set it first: export KEY="$(openssl rand -hex 32)"'
        )
    return value


# As browsers write it in the header Origin: no path, no slash at the end. It becomes a word of HAProxy's
# configuration, where other characters have a meaning.
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9._:\[\]-]+)$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
_HASHES = "Each hash must be 64 characters of 0-9 and a-f: the SHA-256 of a key, not the key itself"
# What a value must look like, where pydantic would show a regular expression.
FORMS = {
    "api_keys_sha256": _HASHES,
    "admin_keys_sha256": _HASHES,
    "cors_origins": "Each origin must be http://HOST or https://HOST, with :PORT if it is not the usual one, "
    "and without a path or a slash at the end; or *",
}
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$"), AfterValidator(_check_not_of_nothing)]
Hashes = Annotated[tuple[Sha256, ...], BeforeValidator(_read_hashes)]
SomeHashes = Annotated[tuple[Sha256, ...], BeforeValidator(_read_some_hashes)]


class EdgeSettings(Settings):
    """Each is read from the variable DIGITS_EDGE_ and its name in capitals."""

    # An invalid value is not shown: it may be a key that was set in place of its hash.
    model_config = ConfigDict(hide_input_in_errors=True)

    max_body_bytes: int = Field(
        16 * 2**20, ge=1024, le=64 * 2**20, description="Largest request body, in bytes. Larger: 413."
    )
    max_buffered_bytes: int = Field(
        48 * 2**20,
        ge=2048,
        le=2**30,
        description="Memory for all bodies above 64 KiB, in bytes. A body above half of what is left: 429.",
    )
    max_large_bodies: int = Field(
        128, ge=1, le=10_000, description="Bodies above 31 KiB in progress at the same time. More: 429."
    )
    body_timeout_s: float = Field(
        10,
        gt=0,
        le=300,
        description="Seconds within which a request body must arrive. Later: 408. Behind HAProxy a body of "
        "up to about 31 KiB always has 10 s.",
    )
    max_headers: int = Field(64, ge=16, le=1000, description="Largest number of request headers. More: 431.")
    max_header_bytes: int = Field(
        16 * 2**10, ge=1024, le=2**20, description="Largest total of request headers, in bytes. Larger: 431."
    )
    api_keys_sha256: SomeHashes = Field(
        (),
        repr=False,
        description="SHA-256 hashes of accepted API keys, or @FILE, which must hold one. Empty: no "
        "authentication.",
    )
    admin_keys_sha256: Hashes = Field(
        (),
        repr=False,
        description="The same for POST /admin/reload. Empty, or without a hash in the file: the endpoint is "
        "disabled.",
    )

    cors_origins: Origins = Field(
        (),
        description="Origins of web pages that may call the service: https://HOST, separated by commas, or "
        "*. Empty: none.",
    )

    @model_validator(mode="after")
    def check_room_for_a_body(self) -> Self:
        if self.max_buffered_bytes < 2 * self.max_body_bytes:
            raise ValueError(
                f"max_buffered_bytes is {self.max_buffered_bytes} and must be at least "
                f"{2 * self.max_body_bytes}, twice max_body_bytes: a body may take half of what is left"
            )
        return self

    @classmethod
    def from_environment(cls) -> Self:
        """Returns the settings. Raises ValidationError for an unknown or invalid variable."""
        return cls(
            **{
                name.removeprefix(EDGE_PREFIX).lower(): value
                for name, value in os.environ.items()
                if name.startswith(EDGE_PREFIX)
            }
        )
