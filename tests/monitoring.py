"""What kuberay/components/monitoring asks Prometheus: the rules, and the queries of the dashboard."""

import json
import re

import yaml

from tests.manifests import KUBERAY, Object

FOLDER = KUBERAY / "components" / "monitoring"


def rules() -> Object:
    """As Prometheus itself reads them: the operator's object is around that."""
    found: Object = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
    return found


def alerts() -> list[Object]:
    return [rule for group in rules()["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m") for query in asked]


def metrics(query: str) -> set[str]:
    return set(re.findall(r"\b(?:ray|kuberay)_\w+", re.sub(r'"[^"]*"', "", query)))
