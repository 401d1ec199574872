"""The locks: hashed, consistent, without index addresses; and the serving one is small."""

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[3] / "requirements"
SETS = ("serve", "train", "dev", "clients", "docs")


def pins(name: str) -> set[str]:
    lock = (REQUIREMENTS / f"{name}.txt").read_text()
    return set(re.findall(r"^[a-z0-9][\w.-]*==[\w.+-]+", lock, re.MULTILINE))


def names(name: str) -> set[str]:
    return {pin.partition("==")[0] for pin in pins(name)}


def test_a_replica_installs_no_training_library() -> None:
    heavy = {"tensorflow", "keras", "mlflow", "pandas", "scikit-learn", "scipy", "matplotlib", "torch"}
    assert heavy & names("serve") == set()
    assert {"ray", "onnxruntime", "mlflow-skinny", "starlette"} <= names("serve")


def test_each_set_holds_the_smaller_one_in_the_same_versions() -> None:
    assert pins("serve") <= pins("train") <= pins("dev")


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    lock = (REQUIREMENTS / f"{name}.txt").read_text()
    assert "http" not in re.sub(r"\S*http(?:tools|x2|core2|lib2)?\S*==|# +via.*|# +\S+", "", lock)
    assert not re.search(r"^-", lock, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE).strip()):
        assert "--hash=sha256:" in block, block
