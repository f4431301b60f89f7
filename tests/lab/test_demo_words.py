"""What `hedgerow demo --keep` tells a person to type."""

import sys
from pathlib import Path

import pytest

from node.cli import demo
from node.lab.netns import Lab


def test_the_way_to_look_around_is_typed_with_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a fresh clone the shell does not know `hedgerow`: it lies in .venv."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    demo._explain(Lab("hgdemo1"), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    command = tmp_path / "bin" / "hedgerow"
    assert f"  {command} demo --remove hgdemo1" in lines
    start = f"  ip netns exec hgdemo1-eng-laptop {command} --state {tmp_path}/eng-laptop "
    assert [line for line in lines if line.startswith(start)] != []


def test_an_installed_command_is_typed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the shell finds this very command, also through a link, its name is enough."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "links").mkdir()
    command = tmp_path / "bin" / "hedgerow"
    command.touch(mode=0o755)
    (tmp_path / "links" / "hedgerow").symlink_to(command)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "links"))
    assert demo._command() == "hedgerow"
