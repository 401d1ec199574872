"""The ports that tests give their servers."""

from digits.local.instance import Instance
from testkit.ports import END, free_port, free_service_port


def test_no_port_is_given_to_two_servers() -> None:
    """Neither one that another server listens on later nor one of a service's other listeners."""
    services = [Instance(free_service_port()).ports.values() for _ in range(100)]
    given = [port for ports in services for port in ports] + [free_port() for _ in range(500)]
    assert len(set(given)) == len(given) == 1100
    assert max(given) < END
