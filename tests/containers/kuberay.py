"""The pods that KubeRay 1.7.0 makes from a RayCluster, as containers.

Sources, in ray-operator/controllers/ray/: common/pod.go (start command, environment, /dev/shm), common/job.go
(what the submitter runs), utils/constant.go (ports).  Secrets and ConfigMaps are passed by name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.rules.manifests import Object, cpus, mebibytes

DASHBOARD, GCS, METRICS, AGENT = 8265, 6379, 8080, 52365
WORKERS_WAIT_FOR_GCS_S = 600
OF_SERVICES = {
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
}

Files = Mapping[str, Mapping[str, str]]  # name of a Secret or ConfigMap -> key -> content


@dataclass(frozen=True)
class Pod:
    image: str
    command: list[str]
    environment: dict[str, str]
    cpus: float
    memory_mb: int
    shm_mb: int
    user: int
    folders: list[str] = field(default_factory=list)  # emptyDirs and volumes: the writable folders
    files: dict[str, dict[str, str]] = field(default_factory=dict)  # folder -> name -> content
    grace_s: int = 30
    probe: Object = field(default_factory=dict)  # readinessProbe


def plain_pod(template: Object, files: Files) -> Pod:
    """Returns the pod of a Deployment or StatefulSet: its first container, as the manifest has it."""
    spec = template["spec"]
    container = spec["containers"][0]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    folders, mounted = [], {}
    for mount in container.get("volumeMounts", []):
        volume = volumes.get(mount["name"], {})
        name = volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
        if name:
            mounted[mount["mountPath"]] = dict(files[name])
        else:
            folders.append(mount["mountPath"])
    limits = container["resources"]["limits"]
    return Pod(
        image=container["image"].rpartition("/")[2],
        command=[*container.get("command", []), *container.get("args", [])],
        environment={one["name"]: _value(one, files) for one in container.get("env", [])},
        cpus=cpus(limits["cpu"]),
        memory_mb=int(mebibytes(limits["memory"])),
        shm_mb=64,
        user=spec["securityContext"]["runAsUser"],
        folders=folders,
        files=mounted,
        grace_s=spec.get("terminationGracePeriodSeconds", 30),
        probe=container.get("readinessProbe", {}),
    )


def _value(variable: Object, files: Files) -> str:
    if "value" in variable:
        return str(variable["value"])
    reference = variable["valueFrom"]["secretKeyRef"]
    return files[reference["name"]][reference["key"]]


def start_command(group: Object, head_service: str | None, has_redis: bool = False) -> list[str]:
    """Returns the shell line of a Ray container.  `head_service` is None for the head."""
    container = group["template"]["spec"]["containers"][0]
    limits = container["resources"]["limits"]
    parameters = {
        "num-cpus": str(math.ceil(cpus(limits["cpu"]))),
        "memory": str(int(mebibytes(limits["memory"]) * 2**20)),
        "metrics-export-port": str(METRICS),
        "dashboard-agent-listen-port": str(AGENT),
        "block": "true",
    }
    if gpus := limits.get("nvidia.com/gpu"):
        parameters["num-gpus"] = str(gpus)
    parameters |= {"address": f"{head_service}:{GCS}"} if head_service else {"dashboard-host": "0.0.0.0"}
    if has_redis and not head_service:
        parameters["redis-password"] = "$REDIS_PASSWORD"  # expanded by the shell
    parameters |= group.get("rayStartParams", {})
    flags = [
        f"--{key}" if value == "true" else f"--{key}={value}" for key, value in sorted(parameters.items())
    ]
    start = " ".join(["ray", "start", *([] if head_service else ["--head"]), *flags])
    return ["/bin/bash", "-c", "--", f"ulimit -n 65536; {start}"]


@dataclass(frozen=True)
class RayPods:
    head_service: str
    head: Pod
    worker: Pod | None
    replicas: int


def ray_pods(cluster: Object, name: str, files: Files, token: str, is_service: bool) -> RayPods:
    """Returns the pods of a RayClusterSpec.  `name` is the RayCluster's; being unique, it is the UID too."""
    head_service = f"{name}-head-svc"
    shared = {"RAY_CLUSTER_NAME": name, "RAY_PORT": str(GCS), "RAY_USAGE_STATS_KUBERAY_IN_USE": "1"}
    if cluster.get("authOptions", {}).get("mode") == "token":
        shared |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    if is_service:
        shared |= OF_SERVICES
    of_head = {"RAY_NODE_TYPE_NAME": "headgroup", "RAY_ADDRESS": f"127.0.0.1:{GCS}"}
    of_worker = {"FQ_RAY_IP": head_service, "RAY_IP": head_service, "RAY_ADDRESS": f"{head_service}:{GCS}"}
    options = cluster.get("gcsFaultToleranceOptions")
    if options:
        shared["RAY_external_storage_namespace"] = options.get("externalStorageNamespace", name)
        of_head["RAY_REDIS_ADDRESS"] = options["redisAddress"]
        of_head["REDIS_PASSWORD"] = _value(options["redisPassword"], files)
        of_worker["RAY_gcs_rpc_server_reconnect_timeout_s"] = str(WORKERS_WAIT_FOR_GCS_S)

    def pod(group: Object, environment: dict[str, str], head_service: str | None) -> Pod:
        made = plain_pod(group["template"], files)
        return replace(
            made,
            command=start_command(group, head_service, options is not None),
            environment=environment | made.environment,  # the manifest wins
            shm_mb=made.memory_mb,
        )

    head = pod(cluster["headGroupSpec"], shared | of_head, None)
    groups = cluster.get("workerGroupSpecs", [])
    if not groups:
        return RayPods(head_service, head, None, 0)
    (group,) = groups
    of_worker["RAY_NODE_TYPE_NAME"] = group["groupName"]
    return RayPods(head_service, head, pod(group, shared | of_worker, head_service), group["replicas"])


def submitter(job: Object, head_service: str, job_id: str, token: str, files: Files) -> Pod:
    """Returns the submitter, which submits the job once, however often it restarts, and follows its log."""
    pod = plain_pod(job["submitterPodTemplate"], files)
    address = f"http://{head_service}:{DASHBOARD}"
    asked = f"urllib.request.urlopen('{address}/api/gcs_healthz', timeout=5).read()"
    healthy = f"import urllib.request; {asked} == b'success' or exit(1)"
    submit = f"ray job submit --address {address} --no-wait --submission-id {job_id}"
    line = (
        f'until python -c "{healthy}" > /dev/null 2>&1; do sleep 2; done; '
        f"if ! ray job status --address {address} {job_id} > /dev/null 2>&1; then "
        f"{submit} -- {job['entrypoint'].strip()}; fi; "
        f"ray job logs --address {address} --follow {job_id}"
    )
    environment: dict[str, Any] = {
        "RAY_DASHBOARD_ADDRESS": address,
        "RAY_JOB_SUBMISSION_ID": job_id,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "PYTHONUNBUFFERED": "1",
    }
    return replace(pod, command=["/bin/bash", "-ce", "--", line], environment=environment | pod.environment)
