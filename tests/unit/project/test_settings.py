"""Settings reject unknown keys and values out of bounds, and serve_config.yaml agrees with them."""

import inspect
import pickle
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from digits import errors
from digits.errors import InvalidSettings
from digits.gateway.settings import EdgeSettings
from digits.inference.settings import LONGEST_BATCH_S, WEDGED_AFTER_S, ServeSettings
from digits.settings import Settings
from digits.training.settings import TrainSettings

ROOT = Path(__file__).parents[3]
CONFIG = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
(APPLICATION,) = CONFIG["applications"]
(DEPLOYMENT,) = APPLICATION["deployments"]
SETTINGS = ServeSettings(**DEPLOYMENT["user_config"])


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ValidationError, match="'max_batchsize'; the nearest known one is 'max_batch_size'"):
        ServeSettings.model_validate({"model_uri": "models/starter", "max_batchsize": 8})
    with pytest.raises(ValidationError, match="'epoch'; the nearest known one is 'epochs'"):
        TrainSettings.model_validate({"epoch": 8})


def test_every_unknown_key_is_named_in_its_order() -> None:
    """Also one that YAML reads as a number."""
    with pytest.raises(InvalidSettings) as caught:
        ServeSettings.parse({"model_uri": "x", "queue_timeout": 1, 1: 2, "max_batchsize": 8})
    assert re.fullmatch(
        "unknown setting 'queue_timeout'; the nearest known one is 'queue_timeout_s'; "
        r"unknown setting '1'; the nearest known one is '\w+'; "
        "unknown setting 'max_batchsize'; the nearest known one is 'max_batch_size'",
        str(caught.value),
    )


@pytest.mark.parametrize("key", ["max_batch_size", "queue_timeout_s", "reject_below"])
def test_a_truth_value_is_no_number(key: str) -> None:
    """YAML reads yes and on as true, which is not 1."""
    with pytest.raises(InvalidSettings, match=f"{key}: Input should be a number, not True"):
        ServeSettings.parse({"model_uri": "models/starter", key: True})


@pytest.mark.parametrize("key", ["max_batch_size", "max_queued_images", "queue_timeout_s"])
def test_a_value_out_of_its_bounds_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        ServeSettings.model_validate({"model_uri": "models/starter", key: 0})


def test_a_batch_may_not_take_so_long_that_it_counts_as_hung() -> None:
    most_ms = LONGEST_BATCH_S * 1000
    assert ServeSettings(model_uri="x", batch_budget_ms=most_ms).batch_budget_ms == most_ms
    with pytest.raises(InvalidSettings, match=f"batch_budget_ms: .*less than or equal to {most_ms:g}"):
        ServeSettings.parse({"model_uri": "x", "batch_budget_ms": most_ms + 1})
    assert LONGEST_BATCH_S < WEDGED_AFTER_S < DEPLOYMENT["health_check_timeout_s"]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SETTINGS.max_batch_size = 1  # type: ignore[misc]


@pytest.mark.parametrize("settings", [ServeSettings, EdgeSettings, TrainSettings])
def test_every_setting_says_what_it_means(settings: type[Settings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_serve_config_names_the_deployment_of_this_project() -> None:
    tree = (ROOT / "digits" / "serving" / "deployment.py").read_text()
    assert APPLICATION["import_path"] == "app:app"
    assert f"class {DEPLOYMENT['name']}:" in tree


def test_serve_accepts_two_full_batches_of_requests() -> None:
    """One batch runs while the next one fills."""
    assert DEPLOYMENT["max_ongoing_requests"] >= 2 * SETTINGS.max_batch_size


def test_the_queue_holds_what_serve_lets_in() -> None:
    assert SETTINGS.max_queued_images >= DEPLOYMENT["max_ongoing_requests"]


def test_the_queue_gives_up_before_serve_does() -> None:
    assert SETTINGS.queue_timeout_s < CONFIG["http_options"]["request_timeout_s"]


def test_the_service_listens_on_loopback() -> None:
    assert CONFIG["http_options"]["host"] == "127.0.0.1"


# Of the errors that take more than a text.
SEVERAL = {"BadInput": ("image_blank", "no ink"), "NoDigit": ("not_a_digit", "a letter", None)}


def test_errors_survive_the_way_between_processes() -> None:
    for name, error in inspect.getmembers(errors, inspect.isclass):
        arguments: tuple[object, ...] = SEVERAL.get(name, ("no ink",))
        made = error(*arguments)
        back = pickle.loads(pickle.dumps(made))
        assert (type(back), str(back), vars(back)) == (error, str(made), vars(made))
