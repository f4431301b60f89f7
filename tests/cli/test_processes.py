"""The command as a process of its own: real keys, real start-up, real exit codes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import PASSPHRASE, POLICY, request

HEAVY = ("aiohttp", "cbor2", "cryptography", "nacl", "pydantic", "pyroute2", "rich", "structlog")


def hedgerow(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with nothing on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "node.cli.main", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["admin", "--help"],
        ["admin", "init", "--help"],
        ["admin", "sign", "--help"],
        ["policy", "--help"],
        ["policy", "matrix", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], root: Path) -> None:
    """Help is quick because it imports neither cryptography nor anything of the daemon."""
    script = (
        "import sys\n"
        "from node.cli.main import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("heavy: []")


def test_a_mesh_from_the_shell(tmp_path: Path) -> None:
    """Founding, approving, signing and verifying work as processes, at the real cost of a key."""
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "acme.toml").write_text(POLICY)
    environment = {"HEDGEROW_PASSPHRASE_FILE": "passphrase", "HEDGEROW_ADMIN_DIR": "acme"}

    def admin(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = hedgerow(tmp_path, "admin", *arguments, environment=environment)
        assert done.returncode == 0, done.stderr
        return done

    made = admin("init", "acme", "--dir", "acme", "--keys", "1", "--threshold", "1")
    assert PASSPHRASE not in made.stdout + made.stderr
    assert stat.S_IMODE((tmp_path / "acme/keys/1.key").stat().st_mode) == 0o600
    assert admin("approve", request("gateway")[1]).stdout.startswith("hga1")
    admin("sign", "acme.toml", "--key", "acme/keys/1.key")
    assert "1 of the 1 needed" in admin("verify", "acme/bundles/1-1.hgb").stdout


def test_passphrase_is_not_asked_of_nobody(tmp_path: Path) -> None:
    """Without a terminal and without a file the command ends, and does not wait."""
    done = hedgerow(tmp_path, "admin", "keygen", "--out", "own.key")
    assert done.returncode == 1
    assert "no passphrase was given for own.key" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "own.key").exists()


def test_exit_codes(tmp_path: Path) -> None:
    """0 is done, 1 failed or denied, 2 a wrong command line."""
    (tmp_path / "acme.toml").write_text(POLICY)
    ask = ("policy", "why", "acme.toml")
    assert hedgerow(tmp_path, *ask, "alice", "db:tcp/5432").returncode == 0
    assert hedgerow(tmp_path, *ask, "bob", "db:tcp/5432").returncode == 1
    assert hedgerow(tmp_path, *ask, "bob").returncode == 2
    assert hedgerow(tmp_path, "admin", "nonsense").returncode == 2
    assert hedgerow(tmp_path, "admin", "show", "--dir", "nowhere").returncode == 1
