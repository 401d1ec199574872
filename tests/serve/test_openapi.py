"""The service keeps to its OpenAPI document: schemathesis sends valid and invalid requests made from it."""

import re
import subprocess
from pathlib import Path

from digits.http.openapi import openapi_document
from testkit.cluster import BIN, LocalCluster

# Not positive_data_acceptance: no schema can express that a string or bytes are an image.  Not
# negative_data_rejection: an invalid item of a list gets a problem in its place, with status 200.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method,allow_header_conformance,ignored_auth"
)


def test_the_service_keeps_to_its_openapi_document(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.serve(cluster.fixed(1), replicas=1)
    result = subprocess.run(
        [
            str(BIN / "schemathesis"), "run", f"{cluster.url}/openapi.json", "--checks", CHECKS, "--no-color",
            "--max-examples", "15", "--seed", "1", "--request-timeout", "30",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-5000:]
    operations = sum(len(item.keys() & {"get", "post"}) for item in openapi_document()["paths"].values())
    tested = re.findall(r"Tested: (\d+)", result.stdout)
    # Not those for which no body can be generated.
    assert int(tested[0]) >= operations - 1, result.stdout[-5000:]
