"""Rule for NetworkPolicies: they allow the connections that are needed, and no other to Ray's ports."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.rules.manifests import Object, Render


@dataclass(frozen=True)
class Flow:
    """A connection that must, or must not, be possible if both ends are in a render."""

    source: dict[str, str]
    target: dict[str, str]
    port: int
    is_allowed: bool = True

    def __str__(self) -> str:
        source = " ".join(self.source.values()) or "other namespaces"
        return f"{source} -> {' '.join(self.target.values())}:{self.port}"


OUTSIDE: dict[str, str] = {}  # a pod of another namespace, without a label that a policy selects
COMPONENT, TYPE = "app.kubernetes.io/component", "ray.io/node-type"
SERVING, TRAINING, SCORING, MLFLOW, REDIS = (
    {COMPONENT: name} for name in ("serving", "training", "scoring", "mlflow", "redis")
)
HEAD, WORKER = SERVING | {TYPE: "head"}, SERVING | {TYPE: "worker"}
SUBMITTER, OPERATOR = {COMPONENT: "training-submitter"}, {COMPONENT: "kuberay-operator"}
API_SERVER_PORTS = (443, 6443, 8443)  # of the Service; of most servers; of minikube's
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
FLOWS = [
    Flow(OUTSIDE, WORKER, 8000),
    Flow(WORKER, HEAD, 6379),
    Flow(HEAD, WORKER, 12345),
    Flow(OPERATOR, HEAD, 8265),
    Flow(OPERATOR, HEAD, 8000),
    Flow(OPERATOR, TRAINING | {TYPE: "head"}, 8265),
    Flow(SUBMITTER, TRAINING | {TYPE: "head"}, 8265),
    Flow(WORKER, MLFLOW, 5000),
    Flow(TRAINING, MLFLOW, 5000),
    Flow(SCORING, MLFLOW, 5000),
    Flow(HEAD, REDIS, 6379),
    Flow(PROMETHEUS, WORKER, 8080),
    Flow(PROMETHEUS, HEAD, 44227),
    *(Flow(OUTSIDE, HEAD, port, is_allowed=False) for port in (6379, 8265, 10001, 8080)),
    *(Flow(OUTSIDE, WORKER, port, is_allowed=False) for port in (8265, 30000, 52365)),
    Flow(OUTSIDE, MLFLOW, 5000, is_allowed=False),
    Flow(OUTSIDE, REDIS, 6379, is_allowed=False),
    Flow(TRAINING, REDIS, 6379, is_allowed=False),
    Flow(TRAINING, HEAD, 8265, is_allowed=False),
    Flow(SCORING, HEAD, 8265, is_allowed=False),
    Flow(SUBMITTER, HEAD, 8265, is_allowed=False),
    Flow(MLFLOW, HEAD, 6379, is_allowed=False),
    Flow(REDIS, MLFLOW, 5000, is_allowed=False),
]


def policies_allow_only_needed_connections(render: Render) -> Iterator[str]:
    policies = render.of("NetworkPolicy")
    if not policies:
        return
    if not any(
        policy["spec"]["podSelector"] == {}
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
        and len(policy["spec"]["policyTypes"]) == 2
        for policy in policies
    ):
        yield "one NetworkPolicy must deny all that no other allows"
    if not any(
        _allows(rule, "to", {}, 53) for policy in policies for rule in policy["spec"].get("egress", [])
    ):
        yield "a NetworkPolicy must allow egress to port 53 for DNS"
    for cluster in render.clusters():
        if cluster.spec.get("enableInTreeAutoscaling"):
            for port in API_SERVER_PORTS:
                if not _passes(policies, "egress", cluster.head.labels, {}, port):
                    yield f"NetworkPolicies must allow the autoscaler -> API server:{port}"
    here = render.pods()
    for flow in FLOWS:
        targets = [pod for pod in here if flow.target.items() <= pod.labels.items()]
        sources = [pod for pod in here if flow.source and flow.source.items() <= pod.labels.items()]
        ours = bool(flow.source.get(COMPONENT)) and flow.source != OPERATOR
        if flow.source == PROMETHEUS and not render.of("PodMonitor"):
            continue
        for target in targets:
            for labels in [pod.labels for pod in sources] if ours else [flow.source]:
                passes = _passes(policies, "ingress", target.labels, labels, flow.port) and (
                    not ours or _passes(policies, "egress", labels, target.labels, flow.port)
                )
                if passes != flow.is_allowed:
                    yield f"NetworkPolicies must {'allow' if flow.is_allowed else 'block'} {flow}"


def _passes(policies: list[Object], way: str, pod: dict[str, str], peer: dict[str, str], port: int) -> bool:
    rules = [
        rule
        for policy in policies
        if policy["spec"]["podSelector"].get("matchLabels", {}).items() <= pod.items()
        for rule in policy["spec"].get(way, [])
    ]
    return any(_allows(rule, "from" if way == "ingress" else "to", peer, port) for rule in rules)


def _allows(rule: Object, side: str, peer: dict[str, str], port: int) -> bool:
    peers = rule.get(side)
    known = peers is None or any(
        one.get("podSelector", {}).get("matchLabels", {}).items() <= peer.items() for one in peers
    )
    return known and ("ports" not in rule or any(one["port"] == port for one in rule["ports"]))
