"""Every overlay meets the schemas and the rules of Kubernetes and KubeRay, and each rule finds its mistake."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.programs import skip_or_fail
from tests.rules import kuberay as kuberay_rules
from tests.rules import kubernetes as kubernetes_rules
from tests.rules import network as network_rules
from tests.rules.manifests import PLAIN, ROOT, Render, cpus, mebibytes, names, render

RULES = [*kuberay_rules.RULES, *kubernetes_rules.RULES, network_rules.policies_allow_only_needed_connections]
KUBERNETES_VERSIONS = ("1.29", "1.33", "1.36")
# Kinds of other operators, whose schemas are not at hand.
OTHERS = {"HTTPRoute", "PodMonitor", "PrometheusRule"}
RAY = {"RayService", "RayJob", "RayCronJob"}


@pytest.mark.parametrize("name", names())
def test_every_rule_holds(name: str) -> None:
    assert [f"{rule.__name__}: {said}" for rule in RULES for said in rule(render(name))] == []


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_kinds_are_valid_without_unknown_fields(version: str) -> None:
    found = {json.dumps(one): one for name in names() for one in render(name).objects}  # overlays share most
    for one in found.values():
        if one["kind"] not in RAY | OTHERS:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("name", names())
def test_ray_kinds_are_valid_without_unknown_fields(name: str) -> None:
    for found in render(name).of(*RAY):
        _crd(found["kind"]).validate(found)


@cache
def _crd(kind: str) -> jsonschema.Draft7Validator:
    folder = Path(os.environ.get("DIGITS_KUBERAY_CRDS") or ROOT / ".crds")
    file = folder / f"ray.io_{kind.lower()}s.yaml"
    if not file.exists():
        reason = f"KubeRay's schemas are not in {folder}; make crds, or set DIGITS_KUBERAY_CRDS"
        skip_or_fail("kuberay-crds", reason)
    versions = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]["versions"]
    (schema,) = (version["schema"] for version in versions if version["name"] == "v1")
    return jsonschema.Draft7Validator(_closed(schema["openAPIV3Schema"]))


def _closed(schema: Any) -> Any:
    """Returns the schema with unknown fields as errors; a structural schema prunes them."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    known = schema.get("properties")
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(known, dict) and not is_open:
        closed["additionalProperties"] = False
    return closed


def test_the_plain_file_equals_overlay_local_without_mlflow() -> None:
    (local,), (plain,) = render("overlays/local").of("RayService"), render(PLAIN).of("RayService")
    for group in local["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        del group["template"]["spec"]["containers"][0]["env"]  # MLflow
    for service in (local, plain):
        service["spec"]["serveConfigV2"] = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert plain["spec"] == local["spec"]


def test_the_scheduled_job_equals_the_job() -> None:
    """Except that it deletes itself: KubeRay keeps no limited history of scheduled jobs."""
    for schedule, training in SCHEDULES.items():
        (scheduled,), (job,) = render(schedule).of("RayCronJob"), render(training).of("RayJob")
        template = scheduled["spec"]["jobTemplate"]
        del template["deletionStrategy"]
        for key in ("shutdownAfterJobFinishes", "ttlSecondsAfterFinished"):
            del job["spec"][key]
        assert template == job["spec"]
        assert not render(schedule).of("RayJob")  # it would train at once


SCHEDULES = {
    "training-schedule": "training", "overlays/local-training-schedule": "overlays/local-training"
}  # fmt: skip


OTHER_PODS_CPUS = 0.7  # of the system and the operator, on the node that was tried; 0.1 stays free


def test_an_upgrade_and_a_training_fit_one_small_node() -> None:
    """Two Ray clusters, MLflow and a training with its submitter, on 2 CPUs and 16 GiB."""
    local = render("overlays/local")
    pods = [pod for cluster in local.clusters() for pod in cluster.pods] * 2
    pods += [pod for pod in local.pods() if pod.labels.get("app.kubernetes.io/component") == "mlflow"]
    pods += render("overlays/local-training").pods()
    requests = [container["resources"]["requests"] for pod in pods for container in pod.containers]
    assert sum(cpus(one["cpu"]) for one in requests) <= 2 - OTHER_PODS_CPUS - 0.1
    assert sum(mebibytes(one["memory"]) for one in requests) <= 15 * 1024


def test_overlay_local_needs_no_volume() -> None:
    assert not render("overlays/local").of("PersistentVolumeClaim", "StatefulSet")
    assert not render("overlays/local-training").of("PersistentVolumeClaim", "StatefulSet")


Mutation = Callable[[Render], None]


def put(kind: str, path: str, value: object) -> Mutation:
    """Returns a mutation that sets the value at a path, or deletes it if the value is `...`.

    It acts on the only object of the kind, or on kind/name.
    """

    def mutate(mutated: Render) -> None:
        kind_only, _, name = kind.partition("/")
        (found,) = (one for one in mutated.of(kind_only) if not name or one["metadata"]["name"] == name)
        *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
        target: Any = found
        for step in steps:
            target = target[step]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return mutate


def without(kind: str, name: str = "") -> Mutation:
    def mutate(mutated: Render) -> None:
        mutated.objects[:] = [
            one
            for one in mutated.objects
            if one["kind"] != kind or (name and one["metadata"]["name"] != name)
        ]

    return mutate


def in_config(old: str, new: str) -> Mutation:
    def mutate(mutated: Render) -> None:
        (service,) = mutated.of("RayService")
        assert old in service["spec"]["serveConfigV2"]
        service["spec"]["serveConfigV2"] = service["spec"]["serveConfigV2"].replace(old, new)

    return mutate


WORKERS_OF_A_BUDGET = {"matchLabels": {"ray.io/node-type": "worker"}}
CLUSTER = "spec.rayClusterConfig"
HEAD = f"{CLUSTER}.headGroupSpec"
HEAD_POD, WORKERS = f"{HEAD}.template.spec", f"{CLUSTER}.workerGroupSpecs.0"
WORKER_POD = f"{WORKERS}.template.spec"
PRODUCTION, SCALING, STEPS = "overlays/production", "overlays/autoscaling", "overlays/incremental-upgrade"
# A mistake, where it is made, and the rule that must find it.
MISTAKES: dict[str, tuple[str, Mutation, str]] = {
    "a name of 48 characters": (
        PRODUCTION, put("RayService", "metadata.name", "d" * 48), "names_are_short_labels"),
    "another Ray than the image's": (
        PRODUCTION, put("RayService", f"{CLUSTER}.rayVersion", "2.59.0"), "versions_are_those_of_the_project"),
    "an image of another version": (
        PRODUCTION, put("RayService", f"{HEAD_POD}.containers.0.image", "digits-serve:0.0.9"),
        "versions_are_those_of_the_project"),
    "a sidecar before Ray": (
        PRODUCTION, put("RayService", f"{HEAD_POD}.containers.0.name", "logs"), "ray_is_the_first_container"),
    "no port of the dashboard": (
        PRODUCTION, put("RayService", f"{HEAD_POD}.containers.0.ports.1.containerPort", 8266),
        "all_ports_are_listed_once_one_is"),
    "a number among the start parameters": (
        PRODUCTION, put("RayService", f"{HEAD}.rayStartParams.num-cpus", 0), "start_parameters_are_strings"),
    "CPUs in two places": (
        PRODUCTION, put("RayService", f"{HEAD}.resources", {"CPU": "0"}), "start_parameters_are_strings"),
    "replicas on the head": (
        PRODUCTION, put("RayService", f"{HEAD}.rayStartParams.num-cpus", ...),
        "the_head_of_a_service_has_no_cpus"),
    "more replicas than at most": (
        PRODUCTION, put("RayService", f"{WORKERS}.replicas", 3), "replicas_are_between_their_bounds"),
    "half a CPU": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.resources.limits.cpu", "1500m"), "cpus_are_whole"),
    "a request below its limit": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.resources.requests.cpu", "500m"),
        "cpus_are_whole"),
    "one storage namespace for both clusters": (
        PRODUCTION, put("RayService", f"{CLUSTER}.gcsFaultToleranceOptions.externalStorageNamespace", "digits"),
        "redis_is_given_in_one_place"),
    "Redis in the environment too": (
        PRODUCTION, put("RayService", f"{HEAD_POD}.containers.0.env.0.name", "RAY_REDIS_ADDRESS"),
        "redis_is_given_in_one_place"),
    "a list that KubeRay owns after the first apply": (
        PRODUCTION, put("RayService", f"{WORKERS}.scaleStrategy", ...), "applies_do_not_conflict_with_kuberay"),
    "a quantity that Go writes in another way": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.resources.requests.memory", "3072Mi"),
        "applies_do_not_conflict_with_kuberay"),
    "a quantity that is a number": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.resources.requests.cpu", 1),
        "applies_do_not_conflict_with_kuberay"),
    "a size that Go writes in another way": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.volumes.0.emptyDir.sizeLimit", "2048Mi"),
        "applies_do_not_conflict_with_kuberay"),
    "an empty value, which Go leaves out": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.env.0.value", ""),
        "applies_do_not_conflict_with_kuberay"),
    "no token": (PRODUCTION, put("RayService", f"{CLUSTER}.authOptions.mode", ""), "tokens_are_required"),
    "KubeRay's own readiness probe": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.containers.0.readinessProbe", ...),
        "workers_are_ready_when_haproxy_has_a_replica"),
    "Kubernetes' own grace period": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.terminationGracePeriodSeconds", 30), "pods_have_time_to_stop"),
    "KubeRay's own deletion delay": (
        PRODUCTION, put("RayService", "spec.rayClusterDeletionDelaySeconds", ...), "pods_have_time_to_stop"),
    "the head as an endpoint": (
        PRODUCTION, put("RayService", "spec.excludeHeadPodFromServeSvc", False), "pods_have_time_to_stop"),
    "an autoscaler without a version": (
        SCALING, put("RayService", f"{CLUSTER}.autoscalerOptions.version", ...), "autoscaling_is_complete"),
    "an autoscaler that is not restricted": (
        SCALING, put("RayService", f"{CLUSTER}.autoscalerOptions.securityContext", ...),
        "autoscaling_is_complete"),
    "an autoscaler without an account": (
        SCALING, put("RayService", f"{HEAD_POD}.automountServiceAccountToken", False),
        "autoscaling_is_complete"),
    "steps larger than the surge": (
        STEPS, put("RayService", "spec.upgradeStrategy.clusterUpgradeOptions.maxSurgePercent", 10),
        "upgrades_are_possible"),
    "steps without a gateway": (
        STEPS, put("RayService", "spec.upgradeStrategy.clusterUpgradeOptions.gatewayClassName", ""),
        "upgrades_are_possible"),
    "a strategy inside the cluster": (
        PRODUCTION, put("RayService", f"{CLUSTER}.upgradeStrategy", {"type": "Recreate"}), "upgrades_are_possible"),
    "a threshold that KubeRay ignores": (
        PRODUCTION, put("RayService", "spec.serviceUnhealthySecondThreshold", 60),
        "nothing_is_set_that_kuberay_ignores_or_breaks_on"),
    "a head service with a name": (
        PRODUCTION, put("RayService", f"{HEAD}.headService", {"metadata": {"name": "head"}}),
        "nothing_is_set_that_kuberay_ignores_or_breaks_on"),
    "KubeRay's own label overridden": (
        PRODUCTION,
        put("RayService", f"{HEAD}.template.metadata.labels", {"app.kubernetes.io/name": "digits"}),
        "nothing_is_set_that_kuberay_ignores_or_breaks_on"),
    "a submitter that cannot be restricted": (
        "training", put("RayJob", "spec.submissionMode", "SidecarMode"), "trainings_end"),
    "scheduled trainings that pile up": (
        "training-schedule",
        put("RayCronJob", "spec.jobTemplate.deletionStrategy.deletionRules.0.policy", "DeleteCluster"), "trainings_end"),
    "a training whose cluster stays": (
        "training", put("RayJob", "spec.shutdownAfterJobFinishes", False), "trainings_end"),
    "workers that spread over all clusters": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.topologySpreadConstraints.0.matchLabelKeys", ...),
        "workers_spread"),
    "a new cluster without a handover": (
        PRODUCTION, in_config("digits.serving.handover:app", "app:app"), "traffic_waits_for_the_workers"),
    "a handover with a route": (
        PRODUCTION, in_config("route_prefix: null", "route_prefix: /handover"), "traffic_waits_for_the_workers"),
    "a handover that asks another port": (
        PRODUCTION, in_config("port: 8000", "port: 8001"), "traffic_waits_for_the_workers"),
    "more replicas than fit": (
        PRODUCTION, in_config("max_replicas: 2", "max_replicas: 3"), "replicas_fit_the_workers"),
    "a worker without a replica": (
        PRODUCTION, in_config("min_replicas: 2", "min_replicas: 1"), "replicas_fit_the_workers"),
    "root": (PRODUCTION, put("RayService", f"{WORKER_POD}.securityContext.runAsNonRoot", False),
             "pods_are_restricted"),
    "a root that can be written": (
        PRODUCTION,
        put("StatefulSet", "spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem", False),
        "pods_are_restricted"),
    "a submitter by KubeRay's template": (
        "training", put("RayJob", "spec.submitterPodTemplate", ...), "trainings_end"),
    "a token of the API server": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.automountServiceAccountToken", ...),
        "pods_have_no_needless_access"),
    "no memory limit": (
        PRODUCTION, put("Deployment", "spec.template.spec.containers.0.resources.limits", {"cpu": "1"}),
        "containers_are_bounded_and_pinned"),
    "the tag latest": (
        PRODUCTION, put("StatefulSet", "spec.template.spec.containers.0.image", "redis:latest"),
        "containers_are_bounded_and_pinned"),
    "an image pulled each time": (
        PRODUCTION, put("RayService", f"{HEAD_POD}.containers.0.imagePullPolicy", "Always"),
        "containers_are_bounded_and_pinned"),
    "a Secret that does not exist": (
        PRODUCTION, put("RayService", f"{CLUSTER}.authOptions.secretName", "ray-token"),
        "references_exist"),
    "a volume that is not there": (
        PRODUCTION, put("RayService", f"{WORKER_POD}.volumes", []), "references_exist"),
    "a claim that is gone": (
        PRODUCTION, without("PersistentVolumeClaim"), "references_exist"),
    "a password as a value": (
        PRODUCTION,
        put("StatefulSet", "spec.template.spec.containers.0.env.0", {"name": "REDISCLI_AUTH", "value": "guess"}),
        "no_secret_is_written_down"),
    "a Service without a pod": (
        PRODUCTION, put("Service/digits-mlflow", "spec.selector", {"app": "mlflow"}), "services_and_routes_have_targets"),
    "a route to the dashboard": (
        PRODUCTION, put("HTTPRoute", "spec.rules.0.backendRefs.0.port", 8265), "services_and_routes_have_targets"),
    "a budget that needs a scale subresource": (
        PRODUCTION, put("PodDisruptionBudget", "spec", {"maxUnavailable": 1, "selector": WORKERS_OF_A_BUDGET}),
        "disruption_is_bounded"),
    "a node that is never drained": (
        PRODUCTION, put("PodDisruptionBudget", "spec.minAvailable", 2), "disruption_is_bounded"),
    "broken workers that stay on a node": (
        PRODUCTION, put("PodDisruptionBudget", "spec.unhealthyPodEvictionPolicy", ...), "disruption_is_bounded"),
    "two workers without a budget": (PRODUCTION, without("PodDisruptionBudget"), "disruption_is_bounded"),
    "a namespace without Pod Security": (
        PRODUCTION, put("Namespace", "metadata.labels", {}), "the_namespace_is_restricted"),
    "an object in another namespace": (
        PRODUCTION, put("Deployment", "metadata.namespace", "default"), "the_namespace_is_restricted"),
    "no denial by default": (
        PRODUCTION, without("NetworkPolicy", "nothing-else"), "policies_allow_only_needed_connections"),
    "an operator that is blocked": (
        PRODUCTION, without("NetworkPolicy", "operator"), "policies_allow_only_needed_connections"),
    "no connection to MLflow": (PRODUCTION, without("NetworkPolicy", "mlflow"), "policies_allow_only_needed_connections"),
    "an autoscaler that cannot ask for workers": (
        SCALING, without("NetworkPolicy", "autoscaler"), "policies_allow_only_needed_connections"),
    "no DNS": (PRODUCTION, without("NetworkPolicy", "names"), "policies_allow_only_needed_connections"),
    "a dashboard that is exposed": (
        PRODUCTION, put("NetworkPolicy/serving", "spec.ingress.1.ports.0.port", 8265),
        "policies_allow_only_needed_connections"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_rule_finds_its_mistake(mistake: str) -> None:
    name, mutate, rule_name = MISTAKES[mistake]
    (rule,) = (rule for rule in RULES if rule.__name__ == rule_name)
    mutated = render(name)
    mutate(mutated)
    assert list(rule(mutated))


def test_every_rule_has_a_mistake_to_find() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for _, _, rule in MISTAKES.values()}


def test_the_schemas_reject_an_unknown_field() -> None:
    (service,) = render(PRODUCTION).of("RayService")
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["tolerate"] = []
    with pytest.raises(jsonschema.ValidationError, match="tolerate"):
        _crd("RayService").validate(service)
    (deployment,) = render(PRODUCTION).of("Deployment")
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.33", strict=True)
