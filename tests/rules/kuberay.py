"""Rules for what KubeRay 1.7.0 rejects, or accepts and then does not do as meant.

Each rule yields complaints, one sentence each.  If KubeRay has the rule, a comment names its place in
ray-operator/controllers/ray/.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import version

import yaml

from tests.rules.manifests import ROOT, Object, Pod, RayCluster, Render, cpus

Complaints = Iterator[str]

HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080, "dash-metrics": 44227}
SERVE_PORT = 8000
PROJECT_VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
DRAIN_S = 30  # ray/_private/ray_constants.py, RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S
LONGEST_NAME = {"RayService": 47, "RayJob": 47, "RayCronJob": 36}  # utils/constant.go


def names_are_short_labels(render: Render) -> Complaints:
    for found in render.of(*LONGEST_NAME):
        name, longest = found["metadata"]["name"], LONGEST_NAME[found["kind"]]
        if len(name) > longest or not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
            yield f"{found['kind']} {name!r} must be a DNS-1035 label of at most {longest} characters"


def versions_are_those_of_the_project(render: Render) -> Complaints:
    for cluster in render.clusters():
        if cluster.spec.get("rayVersion") != version("ray"):
            yield f"{cluster.where}: rayVersion must be {version('ray')}, the image's"
    for pod in render.pods():
        for container in pod.containers:
            image, _, tag = container["image"].rpartition(":")
            if "digits" in image and tag.removesuffix("-gpu") != PROJECT_VERSION:
                yield f"{pod.where}: the tag of {container['image']} must be {PROJECT_VERSION}"


def ray_is_the_first_container(render: Render) -> Complaints:
    for cluster in render.clusters():
        for pod in cluster.pods:
            if not pod.spec["containers"][0]["name"].startswith("ray-"):
                yield f"{pod.where}: KubeRay starts Ray in containers[0]"


def all_ports_are_listed_once_one_is(render: Render) -> Complaints:  # common/service.go
    for cluster in render.clusters():
        listed = {port["name"]: port["containerPort"] for port in cluster.head.spec["containers"][0]["ports"]}
        wanted = HEAD_PORTS | ({"serve": SERVE_PORT} if "RayService" in cluster.where else {})
        for name, number in wanted.items():
            if listed.get(name) != number:
                yield f"{cluster.head.where}: port {name} must be {number}; KubeRay adds no port to a list"


def start_parameters_are_strings(render: Render) -> Complaints:
    for cluster in render.clusters():
        groups = [cluster.spec["headGroupSpec"], *cluster.spec.get("workerGroupSpecs", [])]
        for pod, group in zip(cluster.pods, groups, strict=True):
            parameters = group.get("rayStartParams", {})
            for key, value in parameters.items():
                if not isinstance(value, str):
                    yield f"{pod.where}: rayStartParams {key} must be a string, not {value!r}"
            if "labels" in parameters:
                yield f"{pod.where}: labels belong in the group's own field, not in rayStartParams"
            if "resources" in group and "num-cpus" in parameters:  # utils/validation.go:60
                yield f"{pod.where}: set CPUs either in resources or in rayStartParams, not in both"


def the_head_of_a_service_has_no_cpus(render: Render) -> Complaints:
    for cluster in render.clusters():
        head = cluster.spec["headGroupSpec"]
        given = head.get("rayStartParams", {}).get("num-cpus"), head.get("resources", {}).get("CPU")
        if "RayService" in cluster.where and "0" not in given:
            yield f'{cluster.head.where}: num-cpus must be "0", or replicas die with the head'


def replicas_are_between_their_bounds(render: Render) -> Complaints:
    for cluster in render.clusters():
        for group, pod in cluster.workers:
            if not group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
                yield f"{pod.where}: replicas must be between minReplicas and maxReplicas"


def applies_do_not_conflict_with_kuberay(render: Render) -> Complaints:
    """KubeRay adds its finalizer by an Update (`r.Update`), which writes what Go makes of the object.

    It then owns what that changed.  A list of worker groups has one owner, so if Go writes one differently,
    the next `kubectl apply` conflicts with the field manager kuberay-operator.
    """
    for cluster in render.clusters():
        for pod in cluster.pods:
            for what, quantity in _quantities(pod):
                if quantity != _in_go(str(quantity)):
                    yield f'{pod.where}: write {what} {quantity!r} as "{_in_go(str(quantity))}"'
        for group, pod in cluster.workers:
            if group.get("scaleStrategy") != {}:  # a struct, not a pointer: Go writes it even if it is empty
                yield f"{pod.where}: needs `scaleStrategy: {{}}`"
            for key, value in _left_out(group["template"]):
                yield f"{pod.where}: leave out {key} {value!r}, as Go does"


def _quantities(pod: Pod) -> Iterator[tuple[str, object]]:
    for container in pod.containers:
        for kind, found in container["resources"].items():
            for name, quantity in found.items():
                yield f"{kind}.{name}", quantity
    for volume in pod.spec.get("volumes", []):
        if limit := volume.get("emptyDir", {}).get("sizeLimit"):
            yield "sizeLimit", limit


POINTERS = {"automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation", "emptyDir"}


def _left_out(value: object) -> Iterator[tuple[str, object]]:
    """Yields the empty values, which Go leaves out (`omitempty`) unless the field is a pointer."""
    if isinstance(value, dict):
        for name, one in value.items():
            if one in ("", 0, None, [], {}) and name not in POINTERS:  # False is 0
                yield name, one
            yield from _left_out(one)
    if isinstance(value, list):
        for one in value:
            yield from _left_out(one)


def _in_go(quantity: str) -> str:
    """Returns a quantity as Go writes it: without a fraction, in the largest unit that is whole."""
    number, unit = re.fullmatch(r"([\d.]+)(.*)", quantity).groups()  # type: ignore[union-attr]
    if unit in ("", "m"):
        milli = round(float(number) * (1 if unit else 1000))
        return f"{milli}m" if milli % 1000 else str(milli // 1000)
    units = ("Ki", "Mi", "Gi", "Ti")
    value, place = float(number), units.index(unit)
    while value % 1:
        value, place = value * 1024, place - 1
    while value % 1024 == 0 and place + 1 < len(units):
        value, place = value / 1024, place + 1
    return f"{value:.0f}{units[place]}"


def cpus_are_whole(render: Render) -> Complaints:
    """KubeRay rounds CPUs up for Ray (common/pod.go), which would then overload the pod."""
    for cluster in render.clusters():
        for pod in cluster.pods:
            resources = pod.spec["containers"][0]["resources"]
            if not cpus(resources["limits"]["cpu"]).is_integer():
                yield f"{pod.where}: the limit of {resources['limits']['cpu']} CPUs must be a whole number"
            if not render.is_small and resources["requests"] != resources["limits"]:
                yield f"{pod.where}: requests must equal limits, or other pods use its CPUs"


def redis_is_given_in_one_place(render: Render) -> Complaints:  # utils/validation.go:153-195
    for cluster in render.clusters():
        if "external-storage-namespace" in str(cluster.spec).lower() or "externalStorageNamespace" in str(
            cluster.spec
        ):
            yield f"{cluster.where}: externalStorageNamespace would be shared by both clusters of an upgrade"
        for pod in cluster.pods:
            if {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD"} & _environment(pod).keys():
                yield f"{pod.where}: Redis belongs in gcsFaultToleranceOptions, not in env"
        head = cluster.spec["headGroupSpec"]
        if "redis-password" in head.get("rayStartParams", {}):
            yield f"{cluster.where}: redis-password belongs in gcsFaultToleranceOptions"
        options = cluster.spec.get("gcsFaultToleranceOptions")
        if options and "secretKeyRef" not in str(options.get("redisPassword")):
            yield f"{cluster.where}: redisPassword must come from a Secret"
        if options and "RAY_gcs_rpc_server_reconnect_timeout_s" not in _environment(cluster.head):
            yield f"{cluster.where}: the head must give up a lost GCS sooner (20 s) than workers do (600 s)"
        if options and "RayService" not in cluster.where:
            yield f"{cluster.where}: GCS fault tolerance is only for Serve; a training starts again"
    for found in render.objects:
        if "ray.io/ft-enabled" in found["metadata"].get("annotations", {}):
            yield f"{found['kind']}: ray.io/ft-enabled and gcsFaultToleranceOptions exclude each other"


def tokens_are_required(render: Render) -> Complaints:
    for cluster in render.clusters():
        if (
            cluster.spec.get("authOptions", {}).get("mode") != "token"
        ):  # "" creates a Secret but requires no token
            yield f"{cluster.where}: authOptions.mode must be token, written out"


def workers_are_ready_when_haproxy_has_a_replica(render: Render) -> Complaints:
    """KubeRay's own probe would start bash and wget every 5 s (common/pod.go)."""
    for cluster in render.clusters():
        for _, pod in cluster.workers:
            probe = pod.spec["containers"][0].get("readinessProbe", {}).get("httpGet", {})
            asked = probe.get("path"), probe.get("port")
            if "RayService" in cluster.where and asked not in (("/-/healthz", "serve"), ("/-/healthz", 8000)):
                yield f"{pod.where}: the readinessProbe must get /-/healthz on port serve"


def pods_have_time_to_stop(render: Render) -> Complaints:
    for service, config in serve_configs(render):
        cluster = render.clusters()[0]
        (deployment,) = config["applications"][0]["deployments"]
        needed = DRAIN_S + deployment["graceful_shutdown_timeout_s"] + 10
        for _, pod in cluster.workers:
            if pod.spec.get("terminationGracePeriodSeconds", 30) < needed:
                yield f"{pod.where}: terminationGracePeriodSeconds must be {needed} or more: drain, then stop"
        longest = (
            config["http_options"]["request_timeout_s"] + 90
        )  # serve/_private/constants.py:60, keep-alive
        if service["spec"].get("rayClusterDeletionDelaySeconds", 60) < longest:
            yield f"rayClusterDeletionDelaySeconds must be {longest} or more, for kept-alive connections"
        if not service["spec"].get("excludeHeadPodFromServeSvc"):
            yield "excludeHeadPodFromServeSvc must be true: the head has no replica, so it is no endpoint"


def autoscaling_is_complete(render: Render) -> Complaints:
    for cluster in render.clusters():
        scales = cluster.spec.get("enableInTreeAutoscaling", False)
        options = cluster.spec.get("autoscalerOptions", {})
        if scales and options.get("version") != "v2":
            yield f"{cluster.where}: autoscalerOptions.version must be v2; v1 restarts pods in place"
        if scales and not options.get("securityContext", {}).get("capabilities"):
            yield f"{cluster.where}: the autoscaler needs a securityContext, or Pod Security rejects the head"
        if scales and any(pod.spec.get("restartPolicy", "Never") != "Never" for pod in cluster.pods):
            yield f"{cluster.where}: restartPolicy must be unset or Never with autoscaler v2"
        if scales != cluster.head.spec["automountServiceAccountToken"]:
            yield f"{cluster.where}: the head needs a service account's token if, and only if, it scales"
        if not scales and any(group["minReplicas"] != group["maxReplicas"] for group, _ in cluster.workers):
            yield f"{cluster.where}: without autoscaling minReplicas must equal maxReplicas"


def upgrades_are_possible(render: Render) -> Complaints:  # utils/validation.go:717-749
    for service in render.of("RayService"):
        strategy = service["spec"].get("upgradeStrategy", {})
        options, cluster = strategy.get("clusterUpgradeOptions"), service["spec"]["rayClusterConfig"]
        if strategy.get("type") not in ("NewCluster", "NewClusterWithIncrementalUpgrade"):
            yield "upgradeStrategy.type must be set to NewCluster or NewClusterWithIncrementalUpgrade"
        if strategy.get("type") == "NewClusterWithIncrementalUpgrade":
            if not cluster.get("enableInTreeAutoscaling"):
                yield "an incremental upgrade needs enableInTreeAutoscaling"
            if not options or not options.get("gatewayClassName"):
                yield "an incremental upgrade needs a gatewayClassName"
            elif not 0 < options["stepSizePercent"] <= options["maxSurgePercent"] <= 100:
                yield "stepSizePercent must be above 0 and at most maxSurgePercent, that at most 100"
            if render.of("HTTPRoute"):
                yield "remove the HTTPRoute: an incremental upgrade makes its own"
        elif options:
            yield "clusterUpgradeOptions belong to an incremental upgrade"
        if "upgradeStrategy" in cluster:  # utils/validation.go:49
            yield "rayClusterConfig must not have an upgradeStrategy"
        if render.named("HTTPRoute") | render.named("Ingress") and not render.of("NetworkPolicy"):
            yield "a route needs NetworkPolicies, or its gateway reaches Ray's other ports"


def nothing_is_set_that_kuberay_ignores_or_breaks_on(render: Render) -> Complaints:
    for service in render.of("RayService"):
        for field in ("serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold"):
            if field in service["spec"]:
                yield f"{field} is ignored by KubeRay; use an alert on Ready"
        if "ray.io/initializing-timeout" in service["metadata"].get("annotations", {}):
            yield "remove ray.io/initializing-timeout: it ends a slow start for good"
    for cluster in render.clusters():
        head = cluster.spec["headGroupSpec"]
        if head.get("headService", {}).get("metadata", {}).get("name"):  # utils/validation.go:689
            yield f"{cluster.where}: headService.metadata.name breaks upgrades"
        if head.get("enableIngress"):
            yield f"{cluster.where}: enableIngress exposes the dashboard, which can run code"
        for pod in cluster.pods:
            for label in ("app.kubernetes.io/name", "app.kubernetes.io/created-by"):
                if label in pod.labels:  # common/service.go:147
                    yield f"{pod.where}: {label} is KubeRay's; with another value its Services select no pod"


def trainings_end(render: Render) -> Complaints:  # utils/validation.go:543-630
    for where, job in render.jobs():
        if job.get("submissionMode") != "K8sJobMode":
            yield f"{where}: submissionMode must be K8sJobMode, whose submitter meets Pod Security"
        if job.get("ttlSecondsAfterFinished") and not job.get("shutdownAfterJobFinishes"):
            yield f"{where}: ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
        rules = job.get("deletionStrategy", {}).get("deletionRules", [])
        deleted = {
            state for one in rules if one["policy"] == "DeleteSelf" for state in one["condition"].values()
        }
        if where.startswith("RayCronJob"):
            if not {"SUCCEEDED", "Failed"} <= deleted:
                yield f"{where}: must delete itself once SUCCEEDED or Failed, or its jobs pile up"
        elif not job.get("shutdownAfterJobFinishes"):
            yield f"{where}: shutdownAfterJobFinishes must be true, or its cluster stays"
        if not {"backoffLimit", "activeDeadlineSeconds", "preRunningDeadlineSeconds"} <= job.keys():
            yield f"{where}: needs a backoffLimit, activeDeadlineSeconds and preRunningDeadlineSeconds"
        if job.get("submitterPodTemplate", {}).get("spec", {}).get("restartPolicy") != "Never":
            yield f"{where}: needs a submitterPodTemplate with restartPolicy Never"


def workers_spread(render: Render) -> Complaints:
    for cluster in render.clusters():
        for _, pod in cluster.workers:
            if "RayService" not in cluster.where:
                continue
            (constraint,) = pod.spec.get("topologySpreadConstraints") or [{}]
            selected = constraint.get("labelSelector", {}).get("matchLabels", {"no": "label"})
            if not selected.items() <= pod.labels.items():
                yield f"{pod.where}: topologySpreadConstraints must select its own pods"
            if constraint.get("matchLabelKeys") != ["ray.io/cluster"]:
                yield f"{pod.where}: matchLabelKeys must be [ray.io/cluster], to spread each cluster"


def serve_configs(render: Render) -> Iterator[tuple[Object, Object]]:
    for service in render.of("RayService"):
        yield service, yaml.safe_load(service["spec"]["serveConfigV2"])


def traffic_waits_for_the_workers(render: Render) -> Complaints:
    """KubeRay moves it once every application runs (rayservice_controller.go, getAndCheckServeStatus)."""
    for _, config in serve_configs(render):
        found = [one for one in config["applications"] if one["import_path"] == "digits.serving.handover:app"]
        if not found:
            yield "needs the application handover, or an upgrade refuses connections for seconds"
        for one in found:
            if one.get("route_prefix", "/") is not None:
                yield "the route_prefix of handover must be null: it answers nothing"
            if one.get("args", {}).get("port", SERVE_PORT) != config["http_options"]["port"]:
                yield "the port of handover must be that of http_options"


def replicas_fit_the_workers(render: Render) -> Complaints:
    for _, config in serve_configs(render):
        cluster: RayCluster = render.clusters()[0]
        (deployment,) = config["applications"][0]["deployments"]
        scaling, actor = deployment["autoscaling_config"], deployment["ray_actor_options"]
        for group, pod in cluster.workers:
            limits = pod.spec["containers"][0]["resources"]["limits"]
            each = int(cpus(limits["cpu"]) // actor["num_cpus"])
            if gpus := actor.get("num_gpus"):
                each = min(each, int(int(limits.get("nvidia.com/gpu", 0)) // gpus))
            if each * group["maxReplicas"] < scaling["max_replicas"]:
                yield f"{pod.where}: {scaling['max_replicas']} replicas do not fit"
            if each * (group["minReplicas"] - 1) >= scaling["min_replicas"] > 0:
                yield f"{pod.where}: {scaling['min_replicas']} replicas leave a worker without one"


def _environment(pod: Pod) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod.spec["containers"][0].get("env", [])}


RULES: list[Callable[[Render], Complaints]] = [
    names_are_short_labels,
    versions_are_those_of_the_project,
    ray_is_the_first_container,
    all_ports_are_listed_once_one_is,
    start_parameters_are_strings,
    the_head_of_a_service_has_no_cpus,
    replicas_are_between_their_bounds,
    applies_do_not_conflict_with_kuberay,
    cpus_are_whole,
    redis_is_given_in_one_place,
    tokens_are_required,
    workers_are_ready_when_haproxy_has_a_replica,
    pods_have_time_to_stop,
    autoscaling_is_complete,
    upgrades_are_possible,
    nothing_is_set_that_kuberay_ignores_or_breaks_on,
    trainings_end,
    workers_spread,
    traffic_waits_for_the_workers,
    replicas_fit_the_workers,
]
