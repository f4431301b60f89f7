"""A daemon that cannot start says why and changes nothing; one whose tools fail stays up."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from node.lab.mesh import HEDGEROW, wait_until
from tests.system.pair import RULE, Pair, attempt, pair, pause, tables

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The gate running, the laptop joined and not yet started."""
    with pair(tmp_path_factory.mktemp("mesh")) as made:
        made.found()
        made.laptop.join(made.invite())
        yield made


@pytest.fixture
def untouched(mesh: Pair) -> Iterator[Pair]:
    """The laptop before its first start; afterwards nothing on it may have changed."""
    yield mesh
    assert mesh.laptop.host.interfaces() == ("eth0",)
    assert tables(mesh.laptop.host) == ""


def path_without(folder: Path, *missing: str) -> dict[str, str]:
    """Return an environment whose PATH has every command but these."""
    shadow = folder / "bin"
    shadow.mkdir()
    for directory in os.environ["PATH"].split(":"):
        for program in Path(directory).iterdir() if Path(directory).is_dir() else ():
            link = shadow / program.name
            if program.name not in missing and not link.exists():
                link.symlink_to(program)
    return {"PATH": str(shadow)}


def refused(mesh: Pair, *options: str, env: dict[str, str] | None = None) -> str:
    """Start the laptop's daemon in the foreground, and return the error it ends with."""
    state = str(mesh.laptop.state)
    done = attempt(mesh.laptop.host, "--state", state, "up", *options, env=env)
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("hedgerow: ")
    return done.stderr


def test_t32_without_nft(untouched: Pair, tmp_path: Path) -> None:
    """T32: no firewall, no start."""
    words = refused(untouched, env=path_without(tmp_path, "nft"))
    assert "the program nft is not installed" in words
    assert "install the package nftables" in words


def test_without_wireguard(untouched: Pair, tmp_path: Path) -> None:
    """Neither the kernel's nor the one in user space."""
    words = refused(untouched, env=path_without(tmp_path, "wireguard-go"))
    assert "no WireGuard" in words
    assert "wireguard-go" in words


def test_without_the_right_to_configure_the_network(untouched: Pair) -> None:
    """Root in a container that may not touch its network."""
    host, state = untouched.laptop.host, str(untouched.laptop.state)
    argv = host.inside("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    done = subprocess.run(
        [*argv, *HEDGEROW, "--state", state, "up"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "may not configure the network" in done.stderr
    assert "CAP_NET_ADMIN" in done.stderr


def test_with_the_port_taken(untouched: Pair) -> None:
    """The message names the port, the remedy the option."""
    program = (
        "import socket, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('0.0.0.0', 5555)); print('ready', flush=True); time.sleep(60)\n"
    )
    other = untouched.laptop.host.start("python3", "-c", program)
    assert other.stdout is not None
    other.stdout.readline()
    words = refused(untouched, "--port", "5555")
    other.kill()
    assert "UDP port 5555 is in use" in words
    assert "--port" in words


def test_with_settings_that_are_wrong(untouched: Pair) -> None:
    """Every mistake is named, with the file."""
    file = untouched.laptop.state / "settings.toml"
    file.write_text('port = "x"\ncolour = 1\n')
    words = refused(untouched)
    file.unlink()
    assert "port" in words
    assert "colour" in words
    assert str(file) in words


def test_t57_with_keys_that_others_may_read(untouched: Pair) -> None:
    """T57: the remedy is the command that mends it."""
    file = untouched.laptop.state / "device.key"
    file.chmod(0o644)
    words = refused(untouched)
    file.chmod(0o600)
    assert "may be read by others" in words


def test_with_a_damaged_state_file(untouched: Pair) -> None:
    """The file is left as it is, for whoever wants to look."""
    file = untouched.laptop.state / "state.db"
    kept = file.read_bytes()
    file.write_bytes(b"garbage" * 1_000)
    words = refused(untouched)
    assert file.read_bytes() == b"garbage" * 1_000
    file.write_bytes(kept)
    assert "cannot be opened" in words


def test_an_unknown_address_to_join_through_leaves_the_node_up_and_closed(tmp_path: Path) -> None:
    """Fail closed, stay up: a node that reaches nobody denies everything and says so."""
    with pair(tmp_path) as made:
        made.found()
        made.gate.kill()
        made.gate.run("down")
        made.laptop.join(made.invite())
        made.laptop.up()
        status = made.laptop.status()
        assert status["bundle"]["state"] == "none"
        assert [alarm["code"] for alarm in status["alarms"]] == ["not-in-force"]
        assert not made.can_reach(22)


def test_t32_when_the_firewall_cannot_be_loaded_the_rules_before_stay(tmp_path: Path) -> None:
    """T32: nft fails at run time; what was in force stays, the alarm stands, and it recovers."""
    real = shutil.which("nft")
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    broken = tmp_path / "broken"
    (wrapper / "nft").write_text(f'#!/bin/sh\n[ -e {broken} ] && exit 1\nexec {real} "$@"\n')
    (wrapper / "nft").chmod(0o755)
    folder = tmp_path / "mesh"
    folder.mkdir()
    with pair(folder) as made:
        made.found()
        made.gate.kill()
        env = {"PATH": f"{wrapper}:{os.environ['PATH']}"}
        started = attempt(
            made.gate.host, "--state", str(made.gate.state), "up", "--background", env=env
        )
        assert started.returncode == 0, started.stderr
        made.enrol()
        made.gate.serve([22, 23])
        wait_until(lambda: made.can_reach(22), seconds=10, what="the first connection")
        broken.touch()
        rules = RULE.format(id="ssh", allow="tcp/22") + RULE.format(id="b", allow="tcp/23")
        made.laptop.run("publish", str(made.sign(rules)))
        made.wait_for(made.gate, made.version)
        wait_until(
            lambda: "firewall" in {alarm["code"] for alarm in made.gate.status()["alarms"]},
            seconds=5,
            what="the alarm",
        )
        assert made.can_reach(22)
        assert not made.can_reach(23)
        broken.unlink()
        wait_until(lambda: made.can_reach(23), seconds=10, what="the recovery")
        assert made.gate.status()["alarms"] == []


@pytest.mark.slow
def test_t25_kill_9_at_any_moment_leaves_the_old_bundle_or_the_new(tmp_path: Path) -> None:
    """T25: killed at random moments of taking a bundle in, a node starts whole and converges."""
    draw = random.Random(20)
    with pair(tmp_path) as made:
        made.found()
        made.enrol()
        made.gate.serve([22, 23])
        wait_until(lambda: made.can_reach(22), seconds=10, what="the first connection")
        for round_number in range(5):
            port = (22, 23)[round_number % 2]
            bundle = made.sign(RULE.format(id="r", allow=f"tcp/{port}"))
            victim = made.laptop.daemon_pid()
            assert victim is not None
            publisher = subprocess.Popen(
                made.gate.host.inside(
                    *HEDGEROW, "--state", str(made.gate.state), "publish", str(bundle)
                ),
                stdout=subprocess.DEVNULL,
            )
            pause(draw.uniform(0.1, 0.4))
            os.kill(victim, signal.SIGKILL)
            publisher.wait()
            wait_until(lambda: made.laptop.daemon_pid() is None, seconds=5, what="its death")
            made.laptop.up()
            assert made.laptop.status()["bundle"]["version"] in {made.version - 1, made.version}
            made.wait_for(made.laptop, made.version)
            wait_until(partial(made.can_reach, port), seconds=10, what=f"port {port}")
            assert not made.can_reach(45 - port)
