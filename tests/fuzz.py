"""Sends mutated requests for minutes, in process: `python -m tests.fuzz --minutes 2` (`make fuzz`).

A mutant whose answer has a new detail becomes a seed.  At the first 5xx, malformed answer or answer that
takes too long it writes the request to a file and exits with 1.
"""

import argparse
import json
import random
import re
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

from starlette.testclient import TestClient
from tqdm import tqdm

from digits.http.examples import examples
from digits.http.schemas import PredictManyResponse, PredictResponse, ProblemDocument
from digits.inference.settings import ServeSettings
from digits.problems import MEDIA_TYPE, PROBLEMS
from digits.protocols.instances import Scores
from digits.protocols.v2_schemas import InferResponse
from testkit.encodings import MANY, ONE, Body, json_body, v2_body
from testkit.fakes import api_of
from testkit.models import load_classifier
from tests.bad_inputs import IMAGES, TABLE

INFER = "/v2/models/digits/infer"
# Of the other protocols, with the operation whose examples are sent.
PATHS = {INFER: "infer", "/v1/models/digits:predict": "predict_instances", "/invocations": "invoke"}
DETAIL = re.compile("[0-9'].*")  # from the first figure or name on
SLOWEST_S = 2.0  # of CPU, for one request
MAX_SEED_BYTES = 50_000
MAX_SEEDS = 3000
SPLICES = [
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\r\n", b"--", b'"', b"[", b"{", b"-1", b"1e999", b"IDAT",
    b"\xff\xd9",
]  # fmt: skip


def seeds() -> dict[str, list[Body]]:
    """Returns good and bad bodies by their path."""
    one = [form(IMAGES[digit]) for form in ONE.values() for digit in (1, 8)]
    many = [form(list(IMAGES[:3])) for form in MANY.values()]
    rows = [row.body for row in TABLE.values() if row.method == "POST" and row.path == "/predict"]
    bodies = {"/predict": [body for body in one + many + rows if len(body.content) <= MAX_SEED_BYTES]}
    bodies |= {
        path: [json_body(value) for value in examples()[name].values()] for path, name in PATHS.items()
    }
    bodies[INFER] += [v2_body(IMAGES[:3]), v2_body(IMAGES[:3], parameters={"binary_data_output": True})]
    return bodies


def mutated(body: Body, pool: list[Body]) -> Body:
    data = bytearray(body.content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        place = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0 if place < len(data):
                data[place] ^= 1 << random.randrange(8)
            case 1:
                del data[place : place + random.choice((1, 2, 8, 64, 1024))]
            case 2:
                data[place:place] = random.choice(SPLICES) * random.choice((1, 1, 2, 50))
            case 3:
                again = data[place : place + random.choice((4, 32, 512))]
                data[place:place] = again * random.choice((1, 2, 100))
            case 4:
                other = random.choice(pool).content
                start = random.randrange(len(other) + 1)
                data[place : place + 32] = other[start : start + random.choice((4, 64, 1024))]
            case _:
                data[place : place + 4] = random.randbytes(4)
    content_type = random.choice(pool).content_type if random.random() < 0.05 else body.content_type
    headers = body.headers
    if headers and random.random() < 0.2:  # the length of the JSON in front of binary tensors
        headers = ((headers[0][0], random.choice(("", "-1", "1e3", str(random.randrange(len(data) + 9))))),)
    return Body(bytes(data), content_type, headers)


def check(path: str, status: int, headers: Mapping[str, str], content: bytes) -> str:
    """Returns the kind of an answer; raises ValueError or AssertionError for a wrong one."""
    assert status < 500, status
    if status != 200:
        problem = ProblemDocument.model_validate_json(content, strict=True)
        assert headers["content-type"] == (MEDIA_TYPE if path == "/predict" else "application/json")
        assert problem.status == status == PROBLEMS[problem.code].status
        assert 0 < len(problem.detail) < 300
        return f"{problem.code} {path}: {DETAIL.sub('', problem.detail)[:60]}"
    if path == INFER:
        length = int(headers.get("inference-header-content-length", len(content)))
        outputs = InferResponse.model_validate_json(content[:length]).outputs
        return f"tensors: {' '.join(output.name for output in outputs)}"
    if path != "/predict":
        return f"scores: {path} {len(Scores.model_validate_json(content, strict=True).predictions) > 1}"
    answer = json.loads(content)
    if "predictions" in answer:
        PredictManyResponse.model_validate_json(content)
        codes = {str(item.get("error", {}).get("code")) for item in answer["predictions"]}
        return "list: " + " ".join(sorted(codes))
    return str(PredictResponse.model_validate_json(content, strict=True).position)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; default: random")
    arguments = parser.parse_args()
    seed = time.time_ns() % 2**32 if arguments.seed is None else arguments.seed
    random.seed(seed)
    warnings.simplefilter("ignore")  # Pillow's
    classifier = load_classifier(ServeSettings(model_uri="models/starter"))
    edge = api_of(classifier)
    sown = seeds()
    pool = [body for bodies in sown.values() for body in bodies]
    groups: dict[tuple[str, str], list[Body]] = {}  # by path and media type, each chosen equally often
    for path, bodies in sown.items():
        for body in bodies:
            groups.setdefault((path, (body.content_type or "").partition(";")[0]), []).append(body)
    groups = {name: bodies for name, bodies in groups.items() if len(bodies) > 2 or name[0] != "/predict"}
    kinds: dict[str, int] = {}
    asked, slowest, slowest_bytes = 0, 0.0, 0
    start = time.monotonic()
    seconds = arguments.minutes * 60
    with (
        TestClient(edge, raise_server_exceptions=False) as client,
        tqdm(total=round(seconds), unit="s") as bar,
    ):
        while (passed := time.monotonic() - start) < seconds:
            (path, _), group = random.choice(list(groups.items()))
            body = mutated(random.choice(group), pool)
            headers = [(name.encode(), value.encode()) for name, value in body.headers]
            if body.content_type is not None:
                headers.append((b"Content-Type", body.content_type.encode("latin-1")))
            began = time.process_time()
            fault = None
            try:
                response = client.post(path, content=body.content, headers=headers)
                kind = check(path, response.status_code, response.headers, response.content)
            except (ValueError, AssertionError) as error:
                fault = repr(error)
            took = time.process_time() - began
            if took > SLOWEST_S:
                fault = f"{took:.2f} s of CPU"
            if fault:
                file = Path("out") / f"fuzz-{seed}-{asked}"
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(body.content)
                sys.exit(
                    f"{fault}\n{len(body.content)} bytes to {path} of Content-Type {body.content_type!r} and "
                    f"headers {body.headers} in {file}"
                )
            asked += 1
            if took > slowest:
                slowest, slowest_bytes = took, len(body.content)
            if kind not in kinds and len(pool) < MAX_SEEDS and 0 < len(body.content) <= MAX_SEED_BYTES:
                pool.append(body)
                group.append(body)
            kinds[kind] = kinds.get(kind, 0) + 1
            bar.update(round(passed) - bar.n)
            if asked % 200 == 0:
                bar.set_postfix(requests=asked, kinds=len(kinds), slowest=f"{slowest:.2f}s")
    codes: dict[str, int] = {}
    for kind, count in kinds.items():
        code = kind.partition(":")[0]
        codes[code] = codes.get(code, 0) + count
    for code, count in sorted(codes.items(), key=lambda pair: -pair[1]):
        print(f"{count:8} {code}")
    print(f"{asked} requests of seed {seed}, {len(kinds)} kinds of answer, no 5xx; "
          f"slowest {slowest:.2f} s of CPU for {slowest_bytes} bytes")  # fmt: skip


if __name__ == "__main__":
    main()
