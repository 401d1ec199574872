"""Measures the cost of each form of a request, with one image and with many: `python -m benchmarks.forms`

It sends each form in turn, in rounds, to one replica with one CPU behind HAProxy. Takes three minutes; writes
docs/benchmarks/forms.json, which docs/benchmarks.md shows.  Needs wrk.
"""

import json
from statistics import median
from typing import Any

import numpy as np

from benchmarks.circumstances import circumstances
from benchmarks.cost import of_body
from benchmarks.services import V2_PATH, levels_body
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from digits.task import SIDE
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, serve_env
from testkit.encodings import Body, image_file, json_body, v2_body

OUTPUT = PROJECT / "docs" / "benchmarks" / "forms.json"
PREDICT = "/predict"
BINARY = {"binary_data_output": True}
MANY, ROUNDS = 64, 3
CONNECTIONS = {1: 64, MANY: 4}  # by the images of a request


def forms() -> dict[str, tuple[int, str, Body]]:
    """Returns the images of each form's request, its path and its body."""
    found: dict[str, tuple[int, str, Body]] = {
        "PNG": (1, PREDICT, Body(image_file(golden_digits()[0][3]), "image/png"))
    }
    for count in (1, MANY):
        images = np.resize(golden_digits()[0], (count, SIDE, SIDE))
        tensor = {
            "name": "pixels",
            "datatype": "UINT8",
            "shape": images.shape,
            "data": images.ravel().tolist(),
        }
        name = "one image" if count == 1 else f"{count} images"
        found |= {
            f"{name}, bytes": (count, PREDICT, levels_body(images)),
            f"{name}, binary tensor (V2)": (count, V2_PATH, v2_body(images, parameters=BINARY)),
            f"{name}, JSON (V2)": (count, V2_PATH, json_body({"inputs": [tensor]})),
        }
    return found


def main() -> None:
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in forms()}
    with LocalCluster(**serve_env()) as cluster:
        cluster.serve(cluster.fixed(1), replicas=1)
        for _ in range(ROUNDS):
            for name, (count, path, body) in forms().items():
                rounds[name].append(of_body(cluster, cluster.url + path, body, CONNECTIONS[count]))
    medians = {
        name: {key: median(one[key] for one in ones) for key in ones[0]} | {"images": forms()[name][0]}
        for name, ones in rounds.items()
    }
    figures = circumstances([]) | {"forms": medians}
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(forms_table(figures), end="")


def forms_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/benchmarks.md."""
    rows = [
        [
            name, f"{row['bytes'] / 1000:.1f}", number(row["replica_us"]), number(row["haproxy_us"]),
            number(row["requests_per_s"]), number(row["requests_per_s"] * row["images"]),
        ]
        for name, row in figures["forms"].items()
    ]  # fmt: skip
    head = ["form", "kB", "replica, us of CPU", "HAProxy, us of CPU", "requests/s", "images/s"]
    return table(head, rows) + "\n"


if __name__ == "__main__":
    main()
