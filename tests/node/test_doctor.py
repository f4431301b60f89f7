"""`hedgerow doctor`: each finding names what is wrong and what to do, and nothing is changed."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from node import checkup, restore
from node.checkup import PACKAGES, ClockReading, Finding, State
from node.cli.main import cli
from node.cli.node import doctor
from node.state import Store
from tests.forge import Mesh
from tests.node.rig import joined

HOME = Path("/opt/hedgerow")
OURS = dict.fromkeys(PACKAGES, HOME)
OWNERS = dict.fromkeys(PACKAGES, ("hedgerow",))


def test_packages_that_are_all_ours_are_fine() -> None:
    """One line says so."""
    (finding,) = checkup.packages(OURS, OWNERS, HOME)
    assert finding.state is State.OK


def test_another_distribution_of_our_names_is_named() -> None:
    """Installing it may have overwritten our files, and removing it deletes them."""
    owners = {**OWNERS, "gossip": ("hedgerow", "gossip"), "numpy": ("numpy",)}
    (finding,) = checkup.packages(OURS, owners, HOME)
    assert finding.state is State.FAILED
    assert "gossip" in finding.text
    assert "reinstall" in finding.remedy


@pytest.mark.parametrize("found", [None, Path("/home/me/project")])
def test_a_package_from_elsewhere_is_named(found: Path | None) -> None:
    """A folder of the same name that comes first on the path is not our code."""
    (finding,) = checkup.packages({**OURS, "policy": found}, OWNERS, HOME)
    assert finding.state is State.FAILED
    assert "policy" in finding.text


@pytest.mark.parametrize(
    ("module", "program", "tun", "state", "word"),
    [
        (True, None, False, State.OK, "kernel"),
        (False, "/usr/bin/wireguard-go", True, State.OK, "user space"),
        (False, "/usr/bin/wireguard-go", False, State.FAILED, "/dev/net/tun"),
        (False, None, True, State.FAILED, "neither"),
    ],
)
def test_some_wireguard_has_to_be_there(
    *, module: bool, program: str | None, tun: bool, state: State, word: str
) -> None:
    """The kernel's, or one in user space with its device."""
    finding = checkup.wireguard(module=module, program=program, tun=tun)
    assert finding.state is state
    assert word in finding.text
    assert bool(finding.remedy) == (state is not State.OK)


@pytest.mark.parametrize(
    ("reading", "state"),
    [
        (ClockReading(0, 0.02), State.OK),
        (ClockReading(1, 0.02), State.OK),
        (ClockReading(0, 4.0), State.WARNING),
        (ClockReading(5, 0.02), State.WARNING),
        (None, State.WARNING),
    ],
)
def test_a_clock_nobody_keeps_is_a_warning(reading: ClockReading | None, state: State) -> None:
    """A node runs with it, but grants may begin or end at the wrong time."""
    finding = checkup.clock(reading)
    assert finding.state is state
    assert ("clock_skew_seconds" in finding.remedy) == (state is State.WARNING)


@pytest.mark.parametrize(
    ("version", "refusal", "state"),
    [
        ("nftables v1.0.6", "", State.OK),
        ("nftables v1.0.6", None, State.WARNING),
        ("nftables v0.9", "syntax error", State.FAILED),
        (None, None, State.FAILED),
    ],
)
def test_the_firewall_has_to_take_our_rules(
    version: str | None, refusal: str | None, state: State
) -> None:
    """A program without a kernel that can do it is not enough."""
    assert checkup.firewall(version=version, refusal=refusal).state is state


def test_the_port_is_ours_free_or_taken() -> None:
    """Only a stranger's hold on it is a fault."""
    assert checkup.port(None, taken=False, ours=False).state is State.OK
    assert checkup.port(20_100, taken=False, ours=False).state is State.OK
    assert checkup.port(20_100, taken=True, ours=True).state is State.OK
    finding = checkup.port(20_100, taken=True, ours=False)
    assert finding.state is State.FAILED
    assert "20100" in finding.remedy


def test_the_worst_finding_counts() -> None:
    """One fault among many good findings is a fault."""
    ok, warning = Finding("a", State.OK, ""), Finding("b", State.WARNING, "")
    assert checkup.worst([]) is State.OK
    assert checkup.worst([ok, warning, ok]) is State.WARNING
    assert checkup.worst([warning, Finding("c", State.FAILED, ""), ok]) is State.FAILED


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine be one on which all is well, whatever the one of the tests is like."""
    fine = Finding("machine", State.OK, "all is well")
    monkeypatch.setattr(doctor, "_packages", lambda: iter([fine]))
    monkeypatch.setattr(doctor, "_rights", lambda: fine)
    monkeypatch.setattr(doctor, "_firewall", lambda: fine)
    monkeypatch.setattr(doctor, "_has_module", lambda: True)
    monkeypatch.setattr(doctor, "_clock", lambda: ClockReading(0, 0.01))


@pytest.fixture
def taken() -> Iterator[int]:
    """A UDP port that another program has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["doctor", *arguments])


def findings(result: Result) -> dict[str, str]:
    """Return the state of each check of a JSON answer."""
    return {each["check"]: each["state"] for each in json.loads(result.stdout)["findings"]}


@pytest.mark.usefixtures("healthy")
def test_a_machine_in_no_mesh_is_told_so(tmp_path: Path) -> None:
    """It can be examined before it joins: that is a warning, and exit code 0."""
    result = run("--state", str(tmp_path), "--json")
    assert result.exit_code == 0
    assert findings(result)["membership"] == "warning"


@pytest.mark.usefixtures("healthy")
def test_a_node_with_a_taken_port_fails(tmp_path: Path, taken: int) -> None:
    """The fault, its remedy and exit code 1."""
    places, _ = joined(tmp_path / "n", Mesh())
    with Store(places.database) as store:
        store.put_number(restore.WIREGUARD_PORT, taken)
    result = run("--state", str(places.state))
    assert result.exit_code == 1
    assert f"UDP port {taken} is in use by another program" in result.stdout
    assert "hedgerow up --port" in result.stdout


@pytest.mark.usefixtures("healthy")
def test_a_node_that_is_not_running_is_a_warning(tmp_path: Path) -> None:
    """Nothing is wrong with it, and it does not run."""
    places, _ = joined(tmp_path / "n", Mesh())
    result = run("--state", str(places.state), "--json")
    assert result.exit_code == 0
    found = findings(result)
    assert (found["membership"], found["port"], found["daemon"]) == ("ok", "ok", "warning")


@pytest.mark.usefixtures("healthy")
def test_keys_that_others_may_read_are_a_fault(tmp_path: Path) -> None:
    """As for the daemon, which refuses to start with them."""
    places, _ = joined(tmp_path / "n", Mesh())
    (places.state / "device.key").chmod(0o644)
    result = run("--state", str(places.state))
    assert result.exit_code == 1
    assert "chmod 600" in result.stdout


def test_the_running_program_finds_itself_at_home() -> None:
    """On this machine, where the tree is what is imported."""
    (finding,) = doctor._packages()
    assert finding.state is State.OK


def test_the_kernel_is_asked_about_its_clock() -> None:
    """It answers with a state and with a doubt of some sense."""
    reading = doctor._clock()
    assert reading is not None
    assert 0 <= reading.state <= 5
    assert 0 <= reading.error_seconds < 100_000


@pytest.mark.system
def test_this_kernel_takes_our_rules_and_keeps_none() -> None:
    """The trial leaves no table behind."""
    assert doctor._firewall().state is State.OK
    assert "hedgerow_doctor" not in (doctor._output("nft", "list", "tables") or "")


def test_without_nft_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not there is told apart from a kernel that refuses."""
    monkeypatch.setenv("PATH", "/nowhere")
    finding = doctor._firewall()
    assert (finding.state, finding.remedy) == (State.FAILED, "install the package nftables")
