"""The queries of kuberay/components/monitoring, and the metrics that a replica exports."""

import ast
import json
import re

import yaml

from tests.rules.manifests import KUBERAY, ROOT, Object

FOLDER = KUBERAY / "components" / "monitoring"


def rules() -> Object:
    """Returns the rules as Prometheus reads them, without the object of the operator around them."""
    found: Object = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
    return found


def alerts() -> list[Object]:
    return [rule for group in rules()["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m") for query in asked]


METRIC = r"\b(?:(?:ray|kuberay)_(?!io_)\w+|up\b)"


def selectors(query: str) -> set[str]:
    """Returns the series of a query, without thresholds, windows and offsets."""
    return set(re.findall(METRIC + r"""(?:\{(?:[^"}]|"[^"]*")*\})?""", query))


def metrics(query: str) -> set[str]:
    return {selector.partition("{")[0] for selector in selectors(query)}


def own_metrics() -> set[tuple[str, str, tuple[str, ...]]]:
    """Returns name, type and labels of the metrics that digits/serving declares.

    It reads the source text, because unit tests load no Ray.
    """
    found = set()
    for call in ast.walk(ast.parse((ROOT / "digits" / "serving" / "metrics.py").read_text())):
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith("metrics."):
            continue
        kind, name = ast.unparse(call.func).removeprefix("metrics.").lower(), ast.literal_eval(call.args[0])
        labels = [ast.literal_eval(one.value) for one in call.keywords if one.arg == "tag_keys"]
        found.add((f"{name}_total" if kind == "counter" else name, kind, labels[0] if labels else ()))
    return found
