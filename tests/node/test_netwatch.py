"""The descriptor that tells of a network that changed."""

import select

import pytest

from node.netwatch import NetWatch
from tests.netns import namespaces


@pytest.mark.system
def test_a_change_is_heard_at_once_and_once() -> None:
    """An address that comes makes it readable; looking makes it quiet again."""
    with namespaces(1) as (here,):
        watch = here.call(NetWatch)
        assert not watch.acknowledge()
        here.run("ip", "address", "add", "192.0.2.1/24", "dev", "lo")
        assert select.select([watch], [], [], 5)[0] == [watch]
        assert watch.acknowledge()
        assert not watch.acknowledge()
        watch.close()


@pytest.mark.system
def test_what_was_lost_is_a_change_too() -> None:
    """More changes than the system keeps still say that something changed."""
    with namespaces(1) as (here,):
        watch = here.call(NetWatch)
        watch._socket.setsockopt(1, 8, 1)  # SO_RCVBUF, as small as can be
        for number in range(1, 40):
            here.run("ip", "address", "add", f"192.0.2.{number}/24", "dev", "lo")
        assert watch.acknowledge()
        while watch.acknowledge():
            pass
        watch.close()
