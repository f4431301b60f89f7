"""What is missing is named, each with its remedy, before anything is changed."""

import stat
from pathlib import Path

import pytest

from crypto.errors import LocalError
from node import preflight, udp
from node.kernel import links


def status(folder: Path, capabilities: int) -> Path:
    """Write a /proc/self/status with these effective capabilities."""
    path = folder / "status"
    path.write_text(f"Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t{capabilities:016x}\n")
    return path


def test_without_the_right_to_configure_the_network(tmp_path: Path) -> None:
    """Root without the capability, as in a container, is told so."""
    with pytest.raises(LocalError, match="may not configure the network") as caught:
        preflight.check_rights(status(tmp_path, ~(1 << 12) & 0xFFFFFFFF))
    assert "CAP_NET_ADMIN" in caught.value.remedy


def test_the_capability_is_enough(tmp_path: Path) -> None:
    """One need not be root."""
    preflight.check_rights(status(tmp_path, 1 << 12))


def test_without_nft() -> None:
    """The remedy names the package."""
    with pytest.raises(LocalError, match="no-such-nft is not installed") as caught:
        preflight.check_firewall("no-such-nft")
    assert "nftables" in caught.value.remedy


def test_a_table_belongs_to_one_daemon_of_a_namespace(tmp_path: Path) -> None:
    """The second is told how to get one of its own; the claim dies with its holder."""
    with preflight.claim_table("t", folder=tmp_path):
        with (
            pytest.raises(LocalError, match="holds the firewall table") as caught,
            preflight.claim_table("t", folder=tmp_path),
        ):
            pass
        assert "firewall_table" in caught.value.remedy
        with preflight.claim_table("other", folder=tmp_path):
            pass
    with preflight.claim_table("t", folder=tmp_path):
        pass


def test_t57_no_other_user_can_claim_the_table(tmp_path: Path) -> None:
    """What keeps a second daemon off is a file in a folder that only root may write to."""
    folder = tmp_path / "run"
    with preflight.claim_table("t", folder=folder):
        (held,) = folder.iterdir()
        assert stat.S_IMODE(held.stat().st_mode) == 0o600
        assert not folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_the_port_asked_for_is_taken_if_it_is_free() -> None:
    """What the operator says goes before what was kept."""
    with udp.bind(0) as free:
        port = free.getsockname()[1]
    assert preflight.choose_port(asked=port, kept=1, interface="none") == port


@pytest.mark.parametrize("which", ["asked", "kept"])
def test_a_port_that_another_program_has_is_an_error(which: str) -> None:
    """Neither the port asked for nor the kept one is silently replaced."""
    with udp.bind(0) as other:
        port = other.getsockname()[1]
        asked, kept = (port, None) if which == "asked" else (None, port)
        with pytest.raises(udp.PortInUseError, match=str(port)):
            preflight.choose_port(asked=asked, kept=kept, interface="none")


def test_the_kept_port_is_ours_while_our_tunnel_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill the tunnel still holds its port, and that is no conflict."""
    monkeypatch.setattr(links, "exists", lambda interface: interface == "hg1")
    with udp.bind(0) as ours:
        port = ours.getsockname()[1]
        assert preflight.choose_port(asked=None, kept=port, interface="hg1") == port


def test_a_fresh_node_gets_a_random_port() -> None:
    """Two nodes behind one translator should not have the same."""
    ports = {preflight.choose_port(asked=None, kept=None, interface="x") for _ in range(20)}
    assert len(ports) > 10
    assert all(preflight.PORT_FIRST <= port < preflight.PORT_LAST for port in ports)


def test_no_free_port_is_an_error_and_not_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is to name one."""

    def taken(port: int) -> None:
        raise udp.PortInUseError(f"{port} is taken")

    monkeypatch.setattr(udp, "bind", taken)
    with pytest.raises(LocalError, match="no free UDP port") as caught:
        preflight.choose_port(asked=None, kept=None, interface="x")
    assert "--port" in caught.value.remedy


async def test_the_control_socket_takes_its_kept_port_or_another() -> None:
    """Rules in force point at the kept port; if it is gone, any will do."""
    with udp.bind(0) as other:
        port = other.getsockname()[1]
        moved = await preflight.open_control(port)
        assert moved.port != port
        moved.close()
    again = await preflight.open_control(port)
    assert again.port == port
    again.close()
