"""Rules for what Kubernetes rejects, ignores or should not allow: Pod Security, references, disruption."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests.rules.manifests import KUBERAY, Object, Pod, Render, cpus, mebibytes

Complaints = Iterator[str]

SECRETS = KUBERAY / "overlays" / "production" / "secrets.example.yaml"
CLIENT_SECRETS = {"digits-tls"}  # created by what issues the certificates of the ingress


def pods_are_restricted(render: Render) -> Complaints:
    """Pod Security `restricted`; containers that KubeRay adds (wait-gcs-ready, redis-cleanup) inherit it."""
    for pod in render.pods():
        context = pod.spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{pod.where}: securityContext needs runAsNonRoot and a runAsUser that is not 0"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.where}: seccompProfile must be RuntimeDefault"
        if any(key in pod.spec for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{pod.where}: no namespace of the host may be shared"
        for volume in pod.spec.get("volumes", []):
            if "hostPath" in volume:
                yield f"{pod.where}: hostPath is not allowed"
        for container in pod.containers:
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {
                "drop": ["ALL"]
            }:
                yield f"{pod.where}: {container['name']} must drop ALL capabilities and gain none"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{pod.where}: {container['name']} must have a read-only root"
    for cluster in render.clusters():
        options = cluster.spec.get("autoscalerOptions", {}).get("securityContext")
        if options is not None and options.get("readOnlyRootFilesystem") is not True:
            yield f"{cluster.where}: the autoscaler must have a read-only root"


def pods_have_no_needless_access(render: Render) -> Complaints:
    scaling = {cluster.head.where for cluster in render.clusters() if "autoscalerOptions" in cluster.spec}
    for pod in render.pods():
        if pod.where not in scaling and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.where}: automountServiceAccountToken must be false; it does not use the API server"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.where}: enableServiceLinks must be false, or each Service adds variables"


def containers_are_bounded_and_pinned(render: Render) -> Complaints:
    for pod in render.pods():
        for container in pod.containers:
            resources = container.get("resources", {})
            for kind in ("requests", "limits"):
                if not {"cpu", "memory"} <= resources.get(kind, {}).keys():
                    yield f"{pod.where}: {container['name']} needs {kind} of cpu and memory"
                    return
            for what, number in (("cpu", cpus), ("memory", mebibytes)):
                if number(resources["requests"][what]) > number(resources["limits"][what]):
                    yield f"{pod.where}: {container['name']} requests more {what} than its limit"
            _, _, tag = container["image"].rpartition(":")
            if not tag or "/" in tag or tag == "latest":
                yield f"{pod.where}: {container['image']} needs a tag, and not latest"
            if container.get("imagePullPolicy") != "IfNotPresent":
                yield f"{pod.where}: imagePullPolicy must be IfNotPresent, for nodes without a registry"
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.where}: emptyDir {volume['name']} needs a sizeLimit"


def references_exist(render: Render) -> Complaints:
    maps, claims = render.named("ConfigMap"), render.named("PersistentVolumeClaim")
    secrets = {
        found["metadata"]["name"]: found["stringData"] for found in yaml.safe_load_all(SECRETS.read_text())
    }
    for pod in render.pods():
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for volume in volumes.values():
            if (name := volume.get("configMap", {}).get("name")) and name not in maps:
                yield f"{pod.where}: there is no ConfigMap {name}"
            if (name := volume.get("persistentVolumeClaim", {}).get("claimName")) and name not in claims:
                yield f"{pod.where}: there is no PersistentVolumeClaim {name}"
            if (name := volume.get("secret", {}).get("secretName")) and name not in secrets:
                yield f"{pod.where}: the Secret {name} is not in {SECRETS.name}"
        templates = {found["metadata"]["name"] for found in _claim_templates(render)}
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes.keys() | templates:
                    yield f"{pod.where}: {container['name']} mounts {mount['name']}, which is not a volume"
    for reference in _secret_references(render.objects):
        if reference["key"] not in secrets.get(reference["name"], {}):
            yield f"key {reference['key']} of Secret {reference['name']} is not in {SECRETS.name}"
    for cluster in render.clusters():
        name = cluster.spec.get("authOptions", {}).get("secretName")
        if name and "auth_token" not in secrets.get(name, {}):
            yield f"{cluster.where}: Secret {name} with the key auth_token is not in {SECRETS.name}"
    for found in render.of("Ingress"):
        for tls in found["spec"].get("tls", []):
            if tls["secretName"] not in CLIENT_SECRETS:
                yield f"Ingress {found['metadata']['name']}: no one creates Secret {tls['secretName']}"


def no_secret_is_written_down(render: Render) -> Complaints:
    for pod in render.pods():
        for container in pod.containers:
            for one in container.get("env", []):
                is_secret = any(
                    word in one["name"].lower() for word in ("password", "token", "secret", "_auth")
                )
                if is_secret and "value" in one:
                    yield f"{pod.where}: {one['name']} must come from a Secret, not from a value"
    for found in render.of("Secret"):
        yield f"Secret {found['metadata']['name']} must not be applied from a file"
    for found in yaml.safe_load_all(SECRETS.read_text()):
        for key, value in found["stringData"].items():
            if value:
                yield f"{SECRETS.name}: {key} must be empty; a command creates its value"


def services_and_routes_have_targets(render: Render) -> Complaints:
    made = {
        f"{service['metadata']['name']}-{kind}-svc"
        for service in render.of("RayService")
        for kind in ("serve", "head")
    }
    for service in render.of("Service"):
        where, selector = f"Service {service['metadata']['name']}", service["spec"]["selector"]
        chosen = [pod for pod in render.pods() if selector.items() <= pod.labels.items()]
        if not chosen:
            yield f"{where} selects no pod"
        for port in service["spec"]["ports"]:
            for pod in chosen:
                ports = [one for container in pod.containers for one in container.get("ports", [])]
                if not any(port["targetPort"] in (one["name"], one["containerPort"]) for one in ports):
                    yield f"{where}: {pod.where} has no port {port['targetPort']}"
    for name, port in _backends(render):
        if name not in made | render.named("Service"):
            yield f"a route leads to {name}, which is not a Service"
        if port != 8000:
            yield f"a route leads to port {port}; only 8000 may be exposed"


def disruption_is_bounded(render: Render) -> Complaints:
    for budget in render.of("PodDisruptionBudget"):
        where, spec = f"PodDisruptionBudget {budget['metadata']['name']}", budget["spec"]
        chosen = [p for p in render.pods() if spec["selector"]["matchLabels"].items() <= p.labels.items()]
        if not chosen:
            yield f"{where} selects no pod"
        if not isinstance(spec.get("minAvailable"), int):
            yield f"{where} must set minAvailable to a number: a RayCluster cannot say its total"
            continue
        there = sum(group["minReplicas"] for group in _groups_of(render, chosen))
        if spec["minAvailable"] < 1 or evictions_allowed(spec, there) < 1:
            yield f"{where} must keep one of {there} workers and let one go, or a node cannot be drained"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{where} must always allow the eviction of workers that are not ready: none may ever be"
        if any(pod.labels.get("ray.io/node-type") == "head" for pod in chosen):
            yield f"{where} must not select the head, which answers no request"
    workers = sum(group["minReplicas"] for cluster in render.clusters() for group, _ in cluster.workers)
    if render.of("RayService") and workers > 1 and not render.of("PodDisruptionBudget"):
        yield "workers need a PodDisruptionBudget"


def _groups_of(render: Render, pods: list[Pod]) -> list[Object]:
    workers = [found for cluster in render.clusters() for found in cluster.workers]
    return [group for group, pod in workers if pod in pods]


def evictions_allowed(budget: Object, healthy: int) -> int:
    """Returns how many of a RayCluster's ready pods may be evicted now.

    Kubernetes asks a pod's owner for the number of pods there should be, by the scale subresource.  A
    RayCluster has none, so a budget that needs the number allows none (pkg/controller/disruption,
    getExpectedPodCount).
    """
    kept = budget.get("minAvailable")
    return max(0, healthy - kept) if isinstance(kept, int) else 0


def the_namespace_is_restricted(render: Render) -> Complaints:
    for found in render.of("Namespace"):
        for mode in ("enforce", "warn", "audit"):
            if found["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield f"Namespace {found['metadata']['name']}: pod-security {mode} must be restricted"
    for found in render.objects:
        is_elsewhere = found["kind"] != "Namespace" and found["metadata"].get("namespace") != "digits"
        if len(render.objects) > 1 and is_elsewhere:
            yield f"{found['kind']} {found['metadata']['name']} must be in the namespace digits"


def _claim_templates(render: Render) -> list[Object]:
    return [
        template
        for found in render.of("StatefulSet")
        for template in found["spec"].get("volumeClaimTemplates", [])
    ]


def _secret_references(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if reference := value.get("secretKeyRef"):
            yield reference
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _secret_references(one)


def _backends(render: Render) -> Iterator[tuple[str, int]]:
    for route in render.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield backend["name"], backend["port"]
    for ingress in render.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield service["name"], service["port"]["number"]


RULES: list[Callable[[Render], Complaints]] = [
    pods_are_restricted,
    pods_have_no_needless_access,
    containers_are_bounded_and_pinned,
    references_exist,
    no_secret_is_written_down,
    services_and_routes_have_targets,
    disruption_is_bounded,
    the_namespace_is_restricted,
]
