"""What benchmarks send is what they say: a refused body would be measured as if it were read."""

from benchmarks.bodies import SMALL, bodies, mix
from digits.vision.choosing import judge_scores
from digits.vision.decoding import MAX_PIXELS
from digits.vision.reading import read_file
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
