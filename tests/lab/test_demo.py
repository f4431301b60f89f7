"""`hedgerow demo` as a person runs it: what it prints, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.main import cli
from node.lab.mesh import HEDGEROW

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def demo(*options: str) -> subprocess.Popen[str]:
    """Start the demo."""
    return subprocess.Popen(
        [*HEDGEROW, "demo", *options],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def left_behind(process: subprocess.Popen[str]) -> list[str]:
    """Return what is still there of a demo: namespaces, folders, processes."""
    name = f"hgdemo{process.pid}"
    spaces = subprocess.check_output(["ip", "netns", "list"], text=True).split()
    folders = [str(path) for path in Path(tempfile.gettempdir()).glob(f"{name}-*")]
    found = subprocess.run(
        ["pgrep", "-f", f"{name}-"], text=True, capture_output=True, check=False
    )
    return [space for space in spaces if space.startswith(name)] + folders + found.stdout.split()


def test_the_demo_holds_and_leaves_nothing() -> None:
    """Every check holds, deadlines and revocations end flows, and the machine is as before."""
    process = demo("--json")
    out, err = process.communicate(timeout=170)
    result = json.loads(out)
    assert [check for check in result["checks"] if not check["ok"]] == [], err
    assert result["ok"] is True
    assert process.returncode == 0
    pairs = [check for check in result["checks"] if " -> " in check["name"]]
    assert len(pairs) == 6 * 5 * 4
    assert {check["observed"] for check in pairs} == {"allow", "deny"}
    assert {
        "join_to_first_tunnelled_packet",
        "bundle_published_to_enforced_everywhere",
        "grant_end_to_flow_cut",
        "grant_end_to_flow_cut_daemons_dead",
        "revocation_to_flow_cut",
    } <= result["timings"].keys()
    assert left_behind(process) == []


def test_an_interrupted_demo_leaves_nothing() -> None:
    """SIGTERM in the middle, with daemons up, removes them and all they made."""
    process = demo()
    name = f"hgdemo{process.pid}-gateway"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = subprocess.run(
            ["ip", "netns", "pids", name], text=True, capture_output=True, check=False
        )
        if found.stdout.split():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert left_behind(process) == []


def test_without_root_the_demo_says_so_and_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence and what to do, before anything is made."""
    before = subprocess.check_output(["ip", "netns", "list"], text=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(cli, ["demo"])
    assert done.exit_code == 1
    assert "only be made by root" in done.stderr
    assert "sudo" in done.stderr
    assert subprocess.check_output(["ip", "netns", "list"], text=True) == before
    assert list(Path(tempfile.gettempdir()).glob(f"hgdemo{os.getpid()}-*")) == []
