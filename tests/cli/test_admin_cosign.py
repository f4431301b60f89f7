"""`hedgerow admin propose` and `cosign`: what `sign` does, by plain names, with a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto.bundle import Bundle
from tests.cli.commands import Outcome, Run, found, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")


@pytest.fixture
def holder(run: Run, passphrase: Path) -> Run:
    """Run one of the two with a key of the mesh, in its folder."""
    found(run, passphrase)

    def call(
        verb: str, what: object, key: int, *more: object, typed: str | None = None
    ) -> Outcome:
        common = ("--dir", "acme", "--passphrase-file", passphrase)
        return run(
            "admin", verb, what, "--key", f"acme/keys/{key}.key", *common, *more, typed=typed
        )

    return call


def test_one_proposes_and_another_cosigns(holder: Run, policy: Path, tmp_path: Path) -> None:
    """The second holder sees the tests pass and who gains, is asked, and completes the bundle."""
    first = holder("propose", policy, 1, "--out", "draft.hgb")
    assert first.code == 0, first.err
    assert "gains   user:alice to resource:db" in first.err
    assert "run hedgerow admin cosign draft.hgb --key FILE" in first.out
    done = holder("cosign", "draft.hgb", 2, "--out", "final.hgb", typed="y\n")
    assert done.code == 0, done.err
    told, asked = done.err.index("gains   user:alice"), done.err.index("Sign it?")
    assert done.err.index("its tests pass") < told < asked
    assert "2 of the 2 needed" in done.out
    assert Bundle.decode((tmp_path / "final.hgb").read_bytes()).head


def test_who_does_not_want_to_signs_nothing(holder: Run, policy: Path, tmp_path: Path) -> None:
    """Without a yes no key is touched and no file written."""
    holder("propose", policy, 1, "--out", "draft.hgb")
    before = snapshot(tmp_path)
    refused = holder("cosign", "draft.hgb", 2, typed="n\n")
    assert refused.code == 1
    assert "hedgerow: nothing was signed" in refused.err
    assert holder("cosign", "draft.hgb", 2, typed="").code == 1
    assert snapshot(tmp_path) == before
    assert holder("cosign", "draft.hgb", 2, "--yes").code == 0


def test_a_part_that_was_exchanged_is_refused(holder: Run, policy: Path, tmp_path: Path) -> None:
    """The hashes are those of the bodies, so what the head does not cover is not signed."""
    holder("propose", policy, 1, "--out", "draft.hgb")
    raw = (tmp_path / "draft.hgb").read_bytes()
    port = (5432).to_bytes(2, "big")
    assert raw.count(port)
    (tmp_path / "forged.hgb").write_bytes(raw.replace(port, (22).to_bytes(2, "big")))
    before = snapshot(tmp_path)
    done = holder("cosign", "forged.hgb", 2, "--yes")
    assert done.code == 1
    assert "part policy is not the one its head names" in done.err
    assert snapshot(tmp_path) == before


def test_each_takes_its_own_options_alone(run: Run, policy: Path) -> None:
    """What belongs to the other half is a usage error."""
    assert run("admin", "propose", policy, "--export-tbs", "x").code == 2
    assert run("admin", "cosign", "draft.hgb", "--expires", "3d").code == 2
    for verb in ("propose", "cosign"):
        assert "Missing argument" in run("admin", verb).err
    assert "Missing option '--key'" in run("admin", "propose", policy).err
