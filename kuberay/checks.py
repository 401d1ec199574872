"""The check of a Serve configuration before `make deploy` sends it to the cluster that answers."""

from kuberay.service import NAMESPACE, Failed, Object, active_cluster, head_of, run, say

# Runs on the head, with the code and the version of Ray that would get the configuration.
CHECK, IS_INVALID = (
    """
import sys, tempfile
from pathlib import Path
import yaml
from digits.errors import DigitsError
from digits.local.config import read_config
from digits.local.schema import check_by_rays_schema
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "serveConfigV2"
    file.write_text(yaml.safe_load(sys.argv[1])["spec"]["serveConfigV2"])
    try:
        check_by_rays_schema(read_config(file, model_is_here=False))
    except DigitsError as error:
        print(str(error).replace(str(file), file.name))
        sys.exit(3)
""",
    3,
)
WHERE_TO_CORRECT = """
Nothing has been applied.  Correct serve_config.yaml, kuberay/serve_config_changes.yaml or your overlay, then
run `make manifests` and `make deploy`."""


def check_config(service: Object, text: str) -> None:
    """Raises Failed for a Serve configuration with a mistake, before the running cluster gets it.

    Ray ignores unknown keys of an application: with a misspelt `deployments` it would replace what answers
    by a deployment without settings. With another image a new cluster gets the configuration, and the
    traffic only if it runs.
    """
    image = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    cluster = active_cluster(service)
    if not cluster or f"image: {image}\n" not in text:
        return
    if not (head := head_of(cluster)):
        say(f"The Serve configuration is not checked: RayCluster {cluster} has no head pod")
        return
    done = run("exec", "-n", NAMESPACE, head, "-c", "ray-head", "--", "python", "-c", CHECK, text)
    if done.returncode == IS_INVALID:
        raise Failed(f"{done.stdout.strip().removeprefix('serveConfigV2, ')}{WHERE_TO_CORRECT}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        say(f"The Serve configuration is not checked: {last}")
