"""A Serve configuration, checked before anything starts or changes."""

from pathlib import Path
from typing import Any

import yaml

from digits.errors import DigitsError, InvalidSettings
from digits.inference.settings import ServeSettings
from digits.inference.source import FolderSource
from digits.local.instance import DEFAULT_PORT
from digits.registry.versions import is_registered

Config = dict[str, Any]
DEPLOYMENT = "DigitClassifier"


def read_config(file: Path, port: int | None) -> Config:
    """Returns the configuration on `port`, or on its own port.

    Raises InvalidSettings: no such file, no YAML, no applications, or a user_config that would be rejected.
    """
    try:
        config = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise InvalidSettings(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict) or not config.get("applications"):
        raise InvalidSettings(f"{file} has no `applications`; serve_config.yaml shows the form")
    http = config.setdefault("http_options", {})
    http["port"] = port or http.get("port", DEFAULT_PORT)
    for application in config["applications"]:
        for deployment in application.get("deployments", []):
            if deployment.get("name") == DEPLOYMENT:
                _check(file, deployment.get("user_config"))
    return config


def _check(file: Path, user_config: object) -> None:
    try:
        settings = ServeSettings.parse(user_config)
        if not is_registered(settings.model_uri):
            FolderSource(settings.model_uri).resolve()
    except DigitsError as error:
        raise InvalidSettings(f"{file}, user_config: {error}") from None
