"""docs/admins.md: every command in it works, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sshkeys
from tests.cli import daemon
from tests.cli.commands import PASSPHRASE, request
from tests.sshkeys import SoftKey

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What holders of the page have in ssh-agent and on a security key; here both are software.
SSH_KEYS = {"dan": SoftKey(b"\x07" * 32), "eva": SoftKey(b"\x08" * 32, "ssh:hedgerow")}

# The command as it is installed, but with keys that cost little to open, and with the places of a
# node below the test's own folder.
COMMAND = """\
#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
if sys.argv[1] == "admin":
    from crypto import sealing
    from node.admin import keyfile
    keyfile.COST = sealing.LIGHT
from node import paths
paths.STATE_ROOT, paths.RUN_ROOT = Path({places!r}) / "lib", Path({places!r}) / "run"
from node.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_command_of_the_page_runs(root: Path, tmp_path: Path) -> None:
    """All shell blocks, run as one script that stops at the first failure, end with 0."""
    sshkeys.require()
    blocks = BLOCK.findall((root / "docs/admins.md").read_text())
    script = "".join(text for language, text in blocks if language == "sh")
    (document,) = [text for language, text in blocks if language == "toml"]
    places, work = tmp_path / "places", tmp_path / "work"
    for folder in (places / "lib", places / "run", work, tmp_path / "bin"):
        folder.mkdir(parents=True)
    (work / "acme.toml").write_text(document)
    (work / "gateway.request").write_text(request("gateway")[1])
    for name, key in SSH_KEYS.items():
        (work / f"{name}.pub").write_text(key.line)
    (places / "lib/acme").mkdir()
    (places / "lib/acme/state.db").touch()  # by this a node is known to be on the machine
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    command = tmp_path / "bin/hedgerow"
    command.write_text(COMMAND.format(python=sys.executable, root=str(root), places=str(places)))
    command.chmod(0o755)
    with (
        daemon.running(places / "run/acme.sock") as node,
        sshkeys.soft_agent(*SSH_KEYS.values()) as agent,
    ):
        done = subprocess.run(
            ["bash", "-euxo", "pipefail"],
            input=script,
            cwd=work,
            env={
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "HEDGEROW_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
                "SSH_AUTH_SOCK": agent,
            },
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert script.count("hedgerow ") == done.stderr.count("+ hedgerow ") + done.stderr.count(
        "++ hedgerow "
    ), "a command of the page was not run"
    published = [data for _, data in node.taken]
    assert published[0] == (work / "acme.hgb").read_bytes()
    assert (work / "acme-2.hgb").read_bytes() in published
    assert len(published) == 4
    assert PASSPHRASE not in done.stdout + done.stderr


def test_page_names_every_command(root: Path) -> None:
    """The page speaks of each verb of `hedgerow admin`, and of those for a policy."""
    from node.cli.admin import COMMANDS

    page = (root / "docs/admins.md").read_text()
    named = [f"hedgerow admin {verb}" for verb in COMMANDS]
    named += [f"hedgerow policy {verb}" for verb in ("check", "compile", "test", "matrix", "why")]
    assert [text for text in named if text not in page] == []
