"""The service does what its OpenAPI document says: schemathesis asks for all of it, rightly and wrongly."""

import re
import subprocess
from pathlib import Path

from testkit.cluster import BIN, LocalCluster, wait_until

# Not positive_data_acceptance: no schema can say of a text or of bytes that they are an image.  Not
# negative_data_rejection: an item of a list that is wrong gets its problem in its place, under status 200.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method,allow_header_conformance,ignored_auth"
)


def test_the_service_keeps_to_its_openapi_document(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.apply(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=120, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
    result = subprocess.run(
        [
            str(BIN / "schemathesis"), "run", f"{cluster.url}/openapi.json", "--checks", CHECKS, "--no-color",
            "--max-examples", "40", "--seed", "1", "--request-timeout", "30",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-5000:]
    assert re.search(r"Tested: [5-9]\b", result.stdout), result.stdout[-5000:]
