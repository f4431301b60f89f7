"""The word to the service manager."""

import socket
from pathlib import Path

import pytest

from node.notify import notify


def test_the_manager_hears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One datagram on the socket that NOTIFY_SOCKET names."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        assert notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with @ is in the abstract namespace."""
    monkeypatch.setenv("NOTIFY_SOCKET", "@hedgerow-test")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0hedgerow-test")
        assert notify("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon started by hand has nobody to tell."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")


def test_a_manager_that_is_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")
