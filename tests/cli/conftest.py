"""What the tests of the command line share: a way to run it, cheap keys, and a policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.main import cli
from tests.cli.commands import PASSPHRASE, POLICY, Outcome, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `hedgerow ARGS…` in this process, in the test's own folder.

    Whatever is not an error of ours is let through, so that a bug fails the test.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEDGEROW_ADMIN_DIR", raising=False)
    monkeypatch.delenv("HEDGEROW_PASSPHRASE_FILE", raising=False)

    def call(*arguments: object, typed: str | None = None) -> Outcome:
        texts = [str(each) for each in arguments]
        done = CliRunner().invoke(cli, texts, input=typed, catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return call


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing a key costs next to nothing."""
    from crypto import sealing
    from node.admin import keyfile

    monkeypatch.setattr(keyfile, "COST", sealing.LIGHT)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    """A file with the passphrase that every key here has."""
    path = tmp_path / "passphrase"
    path.write_text(f"{PASSPHRASE}\n")
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy document without mistakes."""
    path = tmp_path / "acme.toml"
    path.write_text(POLICY)
    return path
