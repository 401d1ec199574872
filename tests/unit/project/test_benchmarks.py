"""What benchmarks send is what they say: a refused body would be measured as if it were read."""

import subprocess
import sys
from dataclasses import replace

from benchmarks.bodies import SMALL, bodies, mix
from benchmarks.tune import within
from digits.vision.choosing import judge_scores
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.cluster import ROOT
from testkit.load import Open
from testkit.models import load_model


def test_each_body_is_read_as_one_digit_by_the_starter() -> None:
    model = load_model(max_batch_size=16)
    for name, body in bodies().items():
        found = read_file(body.content, MAX_PIXELS)
        verdict = judge_scores(found, model.predict(found.pixels), model.reject_below)
        assert verdict.kind == "digit", name


def test_the_mix_is_what_people_send() -> None:
    assert bodies()[SMALL] not in mix()
    assert len(mix()) == len(bodies()) - 1


def test_tune_names_missing_load_generators_before_it_starts() -> None:
    """With the packages of Debian that have them."""
    command = [sys.executable, "-m", "benchmarks.tune", "--slo-p99-ms", "50"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "wrk and h2load missing: sudo apt-get install wrk nghttp2-client\n"


def test_a_latency_above_the_promised_one_is_not_kept() -> None:
    seen = Open(750, 750, 750, 5, 50.0, {"200": 4500}, {"200": 60}, 0)
    assert within(seen, 750, 50)
    assert not within(replace(seen, p99_ms=50.6), 750, 50)
    assert not within(replace(seen, accepted=700), 750, 50)
    assert not within(replace(seen, p99_ms=None), 750, 50)
