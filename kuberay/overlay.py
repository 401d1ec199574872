"""The overlay that a command acts on; `make undeploy` checks it by this module before it deletes.

python -m kuberay.overlay OVERLAY
"""

import re
import sys
from pathlib import Path

from kuberay.service import NAME, NAMESPACE, Failed, kubectl, main

FOLDER = "kuberay/overlays"


def manifest(overlay: str, kind: str = "RayService", name: str = NAME) -> str:
    """Returns the overlay's object of this kind and name as kustomize renders it.

    Raises Failed if there is none, or if it is in another namespace than NAMESPACE: the commands ask and
    delete there, so they would report on another service, or delete it.
    """
    folder = f"{FOLDER}/{overlay}"
    if not Path(folder, "kustomization.yaml").is_file():
        there = ", ".join(sorted(file.parent.name for file in Path(FOLDER).glob("*/kustomization.yaml")))
        raise Failed(f"{folder}/kustomization.yaml does not exist; OVERLAY may be one of: {there}")
    objects = kubectl("kustomize", folder).split("\n---\n")
    found = [text for text in objects if re.search(rf"(?m)^kind: {kind}$", text)]
    places = [dict(re.findall(r"(?m)^  (namespace|name): (\S+)$", text)) for text in found]
    if [place.get("name") for place in places] != [name]:
        others = ", ".join(str(place.get("name")) for place in places) or "none"
        raise Failed(f"{folder} must have one {kind}, named {name}; it has {others}")
    if (namespace := places[0].get("namespace", "default")) != NAMESPACE:
        raise Failed(
            f"{folder} is in the namespace {namespace}, this command asks and deletes in {NAMESPACE}: run it "
            f"with NAMESPACE={namespace}"
        )
    return found[0]


def check() -> None:
    """Raises Failed if the overlay of the command line is not one that `make deploy` applies."""
    if len(sys.argv) != 2:
        raise Failed(f"usage: python -m kuberay.overlay OVERLAY, a folder of {FOLDER}")
    manifest(sys.argv[1])


if __name__ == "__main__":
    main(check)
