"""What benchmarks send is what they say: a refused body would be measured as if it were read."""

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import packages_distributions

from benchmarks.bodies import SMALL, bodies, mix
from benchmarks.charts import STYLES
from benchmarks.services import services
from benchmarks.tune import within
from digits.vision.choosing import judge_scores
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import read_file
from testkit.cluster import ROOT
from testkit.load import Open
from testkit.models import load_model

NAME = re.compile(r"[A-Za-z0-9_.-]+")  # of a package, at the start of a requirement


def test_each_body_is_read_as_one_digit_by_the_starter() -> None:
    model = load_model(max_batch_size=16)
    for name, body in bodies().items():
        found = read_file(body.content, MAX_PIXELS)
        verdict = judge_scores(found, model.predict(found.pixels), model.reject_below)
        assert verdict.kind == "digit", name


def test_the_mix_is_what_people_send() -> None:
    assert bodies()[SMALL] not in mix()
    assert len(mix()) == len(bodies()) - 1


def test_each_service_has_a_line_in_the_plots() -> None:
    """The plots are drawn last: a service without a style would cost hours of measuring."""
    assert {service.name for service in services()} == STYLES.keys()


def test_each_peer_can_install_what_reads_its_pictures() -> None:
    """Their programs share testkit.models, and have environments of their own."""
    loaded = "import sys, testkit.models; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    packages = {one for name in done.stdout.split() for one in packages_distributions().get(name, ())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {NAME.findall(one)[0] for one in project["dependencies"]} & packages
    assert {"numpy", "pydantic"} <= direct
    for file in (ROOT / "benchmarks" / "peers").glob("*.txt"):
        listed = {NAME.findall(line)[0] for line in file.read_text().splitlines()}
        assert direct <= listed, file.name


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
