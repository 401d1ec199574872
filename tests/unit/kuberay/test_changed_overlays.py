"""What `make k8s-test` applies in place of the overlays meets the same rules, so an API server accepts it."""

from collections.abc import Callable

import pytest

from tests.kubernetes.kubectl import annotate, with_replicas
from tests.kubernetes.production import fitted
from tests.kubernetes.test_steps import of_one_worker
from tests.kubernetes.test_training import every_two_minutes
from tests.rules import kuberay as kuberay_rules
from tests.rules import kubernetes as kubernetes_rules
from tests.rules.manifests import Object, Render, render

NO_BUDGET = "workers need a PodDisruptionBudget"  # `local` has none, and two workers for a moment


def two_workers(objects: list[Object]) -> None:
    with_replicas(objects, workers=2, replicas=4)


@pytest.mark.parametrize(
    ("overlay", "change"),
    [
        ("production", fitted),
        ("incremental-upgrade", of_one_worker),
        ("local", annotate),
        ("local", two_workers),
        ("local-autoscaling", fitted),
        ("local-training-schedule", every_two_minutes),
    ],
)
def test_a_changed_overlay_meets_the_rules(overlay: str, change: Callable[[list[Object]], None]) -> None:
    objects = render(f"overlays/{overlay}").objects
    before = repr(objects)
    change(objects)
    assert repr(objects) != before
    changed = Render("overlays/local", objects)  # for one small node
    rules = [*kuberay_rules.RULES, *kubernetes_rules.RULES]
    assert [said for rule in rules for said in rule(changed) if said != NO_BUDGET] == []
