"""Ray's schema of a Serve configuration: finds wrong values, and keys that Ray would silently ignore.

This module loads Ray, which takes seconds.
"""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from digits.errors import InvalidSettings


def check_by_rays_schema(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the applications as Ray stores them, with its types and the global logging_config.

    Raises InvalidSettings with every wrong value, or every unknown key, in one line.
    """
    from ray.serve.schema import ServeDeploySchema

    try:
        schema = ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    else:
        found = unknown_keys(schema, config)
    if found:
        raise InvalidSettings("; ".join(found))
    for application in schema.applications:
        if application.logging_config is None:
            application.logging_config = schema.logging_config
    return [one.model_dump(mode="json", exclude_unset=True) for one in schema.applications]


def unknown_keys(model: BaseModel, values: dict[Any, Any], where: str = "") -> list[str]:
    """Returns a sentence for each key of `values`, at any depth, that the model does not have."""
    found = []
    known = type(model).model_fields
    for key, value in values.items():
        if key not in known:
            nearest = get_close_matches(str(key), known, 1)
            hint = f"; the nearest known one is '{nearest[0]}'" if nearest else ""
            found.append(f"{where}{key}: unknown key{hint}")
            continue
        inner = getattr(model, key)
        pairs = zip(inner, value, strict=True) if isinstance(inner, list) else [(inner, value)]
        for one, its in pairs:
            if isinstance(one, BaseModel) and isinstance(its, dict):
                found += unknown_keys(one, its, f"{where}{key}.")
    return found
