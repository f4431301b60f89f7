"""Where a node's files are, and what the command line says when it cannot know."""

from pathlib import Path

import pytest

from crypto.errors import LocalError
from node import paths


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose /var/lib/hedgerow is in a folder of the test."""
    root = tmp_path / "lib"
    monkeypatch.setattr(paths, "STATE_ROOT", root)
    return root


def joined(machine: Path, mesh: str) -> None:
    """Leave what a join leaves."""
    (machine / mesh).mkdir(parents=True)
    (machine / mesh / "state.db").touch()


def test_a_folder_of_its_own_holds_the_socket_too(tmp_path: Path) -> None:
    """With --state nothing outside the folder is used."""
    assert paths.given(tmp_path).socket == tmp_path / "daemon.sock"
    assert paths.given(tmp_path).config == tmp_path / "settings.toml"
    assert paths.locate(tmp_path).database == tmp_path / "state.db"


def test_a_request_waits_where_no_mesh_can_be(machine: Path) -> None:
    """The mesh is not known yet, and nothing of the request looks like one."""
    assert paths.pending().state.parent == machine
    with pytest.raises(LocalError, match="cannot be the name of a folder"):
        paths.of_mesh(paths.pending().state.name)


def test_the_only_mesh_is_meant(machine: Path) -> None:
    """Without --state the one node of the machine is found, with its socket under /run."""
    joined(machine, "acme")
    found = paths.locate(None)
    assert found.state == machine / "acme"
    assert found.socket == Path("/run/hedgerow/acme.sock")
    assert paths.given(machine / "acme") == found


def test_no_mesh_is_said(machine: Path) -> None:
    """The remedy is to join."""
    with pytest.raises(LocalError, match="has not joined a mesh") as caught:
        paths.locate(None)
    assert "hedgerow join" in caught.value.remedy


def test_several_meshes_are_named(machine: Path) -> None:
    """The error lists them and the remedy shows how to choose."""
    joined(machine, "acme")
    joined(machine, "home")
    with pytest.raises(LocalError, match="several meshes: acme, home") as caught:
        paths.locate(None)
    assert str(machine / "acme") in caught.value.remedy


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 80, "new\nline"])
def test_a_mesh_name_cannot_leave_its_folder(name: str) -> None:
    """A name that is no plain folder name is refused."""
    with pytest.raises(LocalError, match="cannot be the name of a folder"):
        paths.of_mesh(name)


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    """The error comes before anything is made, and names the bound."""
    with pytest.raises(LocalError, match="too long") as caught:
        paths.given(tmp_path / ("x" * 120))
    assert "95 bytes" in caught.value.remedy
