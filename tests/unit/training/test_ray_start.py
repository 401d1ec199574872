"""A wrong RAY_ADDRESS is reported at once; Ray itself would try to connect for minutes."""

import socket

import pytest

from digits.errors import RayUnavailable
from digits.ray_start import check_answers
from testkit.ports import free_port


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "no-such-host.invalid:6379"]
)
def test_an_address_without_an_answer_is_named(address: str) -> None:
    address = address.format(port=free_port())
    with pytest.raises(RayUnavailable) as caught:
        check_answers(address)
    assert str(caught.value).startswith(f"nothing answers at RAY_ADDRESS {address} (")
    assert str(caught.value).endswith("or unset RAY_ADDRESS to run on this machine")


def test_what_listens_and_what_only_ray_knows_is_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_answers(f"127.0.0.1:{listener.getsockname()[1]}")
    check_answers("auto")
    check_answers("local")
