"""The descriptor that tells who changed our firewall table."""

import select
import subprocess
from collections.abc import Iterator

import pytest

from node.tablewatch import SOMEBODY, TableWatch
from tests.netns import Namespace, namespaces

pytestmark = pytest.mark.system

TABLE = "table inet hedgerow { set live { type ipv4_addr; flags timeout; }; }\n"


@pytest.fixture
def here() -> Iterator[Namespace]:
    """A namespace of this test's own, with our table and a neighbour's."""
    with namespaces(1) as (made,):
        made.run("nft", "-f", "-", text=TABLE + "table inet neighbour { chain c { }; }\n")
        yield made


@pytest.fixture
def watch(here: Namespace) -> Iterator[TableWatch]:
    """A watch on our table in that namespace."""
    made = here.call(lambda: TableWatch("hedgerow"))
    yield made
    made.close()


def _change(here: Namespace, text: str, *through: str) -> int:
    """Let one nft load a text, and return the process number of it, or of what started it."""
    argv = ["ip", "netns", "exec", here.name, *through, "nft", "-f", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as nft:
        nft.communicate(text)
    assert nft.returncode == 0
    return nft.pid


@pytest.mark.parametrize(
    "text",
    [
        "flush ruleset",
        "add element inet hedgerow live { 100.64.0.1 timeout 30s }",
        "add chain inet hedgerow more",
    ],
)
def test_a_change_of_ours_is_heard_with_its_author(
    text: str, here: Namespace, watch: TableWatch
) -> None:
    """Whatever is changed in it, and once."""
    assert not watch.acknowledge()
    author = _change(here, text)
    assert select.select([watch], [], [], 5)[0] == [watch]
    assert watch.acknowledge() == {author}
    assert not watch.acknowledge()


def test_an_author_in_a_container_has_the_number_that_counts_there(
    here: Namespace, watch: TableWatch
) -> None:
    """So a daemon in a container knows its own nft, whose first process is number 1."""
    _change(here, "add chain inet hedgerow more", "unshare", "--pid", "--fork")
    assert watch.acknowledge() == {1}


def test_changes_of_other_tables_are_not_ours(here: Namespace, watch: TableWatch) -> None:
    """A busy neighbour gives no work."""
    _change(here, "add rule inet neighbour c accept")
    assert not watch.acknowledge()


def test_an_element_that_times_out_is_no_change(here: Namespace, watch: TableWatch) -> None:
    """Grants end by themselves: that alone is nothing to look at."""
    _change(here, "add element inet hedgerow live { 100.64.0.1 timeout 10ms }")
    watch.acknowledge()
    assert not select.select([watch], [], [], 0.3)[0]


def test_what_was_lost_may_have_been_ours(here: Namespace, watch: TableWatch) -> None:
    """More changes than the system keeps say that somebody may have changed it."""
    watch._socket.setsockopt(1, 8, 1)  # SO_RCVBUF, as small as can be
    for number in range(1, 30):
        _change(here, f"add chain inet neighbour c{number}")
    assert SOMEBODY in watch.acknowledge()
