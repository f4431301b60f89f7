"""The demo's network: who can reach whom before any mesh exists, and that it leaves no trace."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from node.lab.company import Company, build
from node.lab.errors import LabError
from node.lab.mesh import TRAFFIC
from node.lab.netns import Host, Lab

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Build the company once for the tests of this file."""
    with Lab("hgtestlab") as lab:
        yield build(lab)


def observed(source: Host, host: str, port: int) -> str:
    """Try one TCP connection from `source` and return what was seen."""
    targets = json.dumps([{"host": host, "port": port}])
    told = source.run(*TRAFFIC, "probe", "--seconds", "1", stdin=targets)
    word: str = json.loads(told)["results"][0]["observed"]
    return word


def serve(host: Host, port: int) -> subprocess.Popen[str]:
    """Start an echo server on `host`."""
    server = host.start(*TRAFFIC, "serve", "--tcp", str(port))
    assert server.stdout is not None
    assert "ready" in server.stdout.readline()
    return server


def test_a_laptop_behind_nat_reaches_a_public_host(company: Company) -> None:
    """NAT lets the inside out, and the answer back in."""
    serve(company.machines["gateway"], 7001)
    assert observed(company.machines["eng-laptop"], "203.0.113.10", 7001) == "open"


def test_nobody_reaches_a_laptop_behind_nat_unasked(company: Company) -> None:
    """The router drops what the inside did not ask for, and private addresses do not route."""
    serve(company.machines["eng-laptop"], 7002)
    assert observed(company.machines["gateway"], "203.0.113.21", 7002) != "open"
    assert observed(company.machines["gateway"], "192.168.1.2", 7002) != "open"


def test_two_machines_of_one_site_see_each_other(company: Company) -> None:
    """The data centre is one network."""
    serve(company.machines["prod-db-1"], 7003)
    assert observed(company.machines["prod-web-1"], "10.3.0.11", 7003) == "open"


def fail_with_a_sleeper(started: list[subprocess.Popen[str]]) -> None:
    """Build a lab in which a process runs, and fail."""
    with Lab("hgtestgone") as lab:
        started.append(lab.host("a").start("sleep", "60"))
        raise RuntimeError


def test_a_closed_lab_leaves_nothing_behind() -> None:
    """Namespaces and processes go, also when the block fails."""
    started: list[subprocess.Popen[str]] = []
    with pytest.raises(RuntimeError):
        fail_with_a_sleeper(started)
    assert started[0].wait(5) != 0
    assert "hgtestgone" not in subprocess.check_output(["ip", "netns", "list"], text=True)


def test_a_lab_left_up_can_be_removed_by_its_name() -> None:
    """What `demo --keep` leaves, `demo --remove` finds again."""
    Lab("hgtestkept").host("a")
    adopted = Lab.adopt("hgtestkept")
    assert list(adopted.hosts) == ["a"]
    adopted.close()
    with pytest.raises(LabError, match="there is no lab called 'hgtestkept'"):
        Lab.adopt("hgtestkept")


def test_a_failed_command_is_told_with_its_own_words() -> None:
    """An error names the command and repeats what it said."""
    with Lab("hgtesterr") as lab:
        host = lab.host("a")
        with pytest.raises(LabError, match="No such file or directory"):
            host.run("cat", "/nonexistent")
