"""`hedgerow policy diff`: two documents or bundles, compared by who may reach what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import POLICY, Run, found, sign


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    """The policy with another port."""
    path = tmp_path / "wider.toml"
    path.write_text(POLICY.replace('allow = ["tcp/5432"]', 'allow = ["tcp/5432", "tcp/22"]'))
    return path


def test_equal_policies_are_no_change(run: Run, policy: Path) -> None:
    """Nothing changes: it says so, and ends with 0 even with --exit-code."""
    done = run("policy", "diff", policy, policy, "--exit-code")
    assert (done.code, done.out, done.err) == (0, "no change\n", "")


def test_a_change_is_told(run: Run, policy: Path, wider: Path) -> None:
    """Who, what, ports before and after; the exit code is 0 unless asked for."""
    done = run("policy", "diff", policy, wider)
    assert done.code == 0
    assert (
        "changes user:alice to resource:db: tcp/5432 becomes tcp/22, tcp/5432"
        in done.out.splitlines()
    )
    assert run("policy", "diff", policy, wider, "--exit-code").code == 1


def test_a_change_as_json(run: Run, policy: Path, wider: Path) -> None:
    """The same under stable keys."""
    done = run("policy", "diff", policy, wider, "--json")
    assert set(done.json) == {"changed", "changes", "redefined"}
    assert set(done.json["changes"][0]) == {"kind", "from", "to", "before", "after"}
    assert done.json["changed"] is True


def test_a_new_meaning_is_told(run: Run, policy: Path, tmp_path: Path) -> None:
    """A default that changes is a difference that no pair shows."""
    other = tmp_path / "other.toml"
    other.write_text(POLICY.replace("[users.alice]", '[defaults]\nlease = "5m"\n[users.alice]'))
    done = run("policy", "diff", policy, other)
    assert done.out == "gives another meaning to default lease\n"


@pytest.mark.usefixtures("cheap_keys")
def test_a_bundle_is_compared_with_a_document(
    run: Run, passphrase: Path, policy: Path, wider: Path, tmp_path: Path
) -> None:
    """What is in force stands in a bundle; what is to come in a document."""
    found(run, passphrase)
    assert sign(run, passphrase, policy, 1, 2, more=("--out", "now.hgb")).code == 0
    assert run("policy", "diff", "now.hgb", policy).out == "no change\n"
    assert run("policy", "diff", "now.hgb", wider, "--exit-code").code == 1


def test_a_broken_document_is_an_error(run: Run, policy: Path, tmp_path: Path) -> None:
    """Its mistakes are shown; nothing is compared."""
    (tmp_path / "bad.toml").write_text("schema = 1\n")
    done = run("policy", "diff", policy, "bad.toml")
    assert (done.code, done.out) == (1, "")
    assert "hedgerow: bad.toml has 1 mistake" in done.err
