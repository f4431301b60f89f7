"""What can be wrong on an admin's machine: each has its own message, and nothing is changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from crypto import signing
from crypto.bundle import Bundle
from crypto.signing import ObjectType
from node.admin import files
from tests.cli.commands import POLICY, Outcome, Run, found, request, sign, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")

VIA = ("--via", "gateway=192.0.2.1:41641")


@pytest.fixture
def mesh(run: Run, passphrase: Path, policy: Path, tmp_path: Path) -> Path:
    """A mesh with a device, a bundle in force and one that waits for signatures."""
    found(run, passphrase)
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    assert run("admin", "approve", request("gateway")[1], *common).code == 0
    assert sign(run, passphrase, policy, 1, 2).code == 0
    policy.write_text(POLICY.replace("tcp/5432", "tcp/5433"))
    assert sign(run, passphrase, policy, 1, more=("--out", "draft.hgb")).code == 0
    return tmp_path / "acme"


def is_an_error(done: Outcome) -> bool:
    """Say whether a command ended as errors do: code 1, a sentence, perhaps a remedy."""
    lines = done.err.splitlines()
    said = [line for line in lines if line.startswith("hedgerow: ")]
    return (
        done.code == 1
        and len(said) == 1
        and not said[0].endswith(".")
        and all(line.startswith("  ") for line in lines[lines.index(said[0]) + 1 :])
    )


def signing_commands(passphrase: Path) -> list[tuple[object, ...]]:
    """Return a command of every kind that opens a key."""
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    key = ("--key", "acme/keys/2.key")
    return [
        ("admin", "invite", *VIA, *common),
        ("admin", "approve", request("db1", 2)[1], *common),
        ("admin", "revoke", "gateway", *common),
        ("admin", "sign", "acme.toml", "--abandon", *key, *common),
        ("admin", "sign", "--add", "draft.hgb", *key, *common),
    ]


def test_wrong_passphrase(run: Run, mesh: Path, tmp_path: Path) -> None:
    """With a wrong passphrase every command names the key file and signs nothing."""
    wrong = tmp_path / "wrong"
    wrong.write_text("correct horse batteries\n")
    before = snapshot(tmp_path)
    for command in signing_commands(wrong):
        done = run(*command)
        assert is_an_error(done), (command, done)
        assert ".key: wrong passphrase" in done.err
    assert snapshot(tmp_path) == before


def test_wrong_passphrase_at_the_prompt(run: Run, mesh: Path, tmp_path: Path) -> None:
    """A passphrase that is typed wrong is not shown, and ends the same way."""
    before = snapshot(tmp_path)
    done = run("admin", "revoke", "gateway", "--dir", "acme", typed="hunter2 hunter2\n")
    assert is_an_error(done)
    assert "wrong passphrase" in done.err
    assert "hunter2" not in done.out + done.err
    assert snapshot(tmp_path) == before


def test_missing_key(run: Run, mesh: Path, passphrase: Path, tmp_path: Path) -> None:
    """Once the key files have gone to their holders, commands say that one has to be named."""
    shutil.move(mesh / "keys", tmp_path / "vault")
    (mesh / "keys").mkdir()
    before = snapshot(tmp_path)
    for command in signing_commands(passphrase):
        done = run(*command)
        assert is_an_error(done), done
        assert "acme/keys" in done.err
    assert snapshot(tmp_path) == before


def test_not_an_admin_folder(run: Run, passphrase: Path, policy: Path, tmp_path: Path) -> None:
    """In any other folder, and in none, each command says how to name the right one."""
    (tmp_path / "draft.hgb").write_bytes(b"")
    before = snapshot(tmp_path)
    commands = [*signing_commands(passphrase), ("admin", "show", "--dir", "acme")]
    for command in commands:
        missing = run(*command)
        assert is_an_error(missing), missing
        assert "acme" in missing.err
        here = run(*("." if part == "acme" else part for part in command))
        assert is_an_error(here), here
        assert ". is not an admin folder: it has no roots/1.root" in here.err
    assert snapshot(tmp_path) == before


def test_folder_named_by_the_environment(
    run: Run, mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEDGEROW_ADMIN_DIR names the folder, and inside it none has to be named."""
    monkeypatch.setenv("HEDGEROW_ADMIN_DIR", "acme")
    assert run("admin", "show").code == 0
    monkeypatch.delenv("HEDGEROW_ADMIN_DIR")
    monkeypatch.chdir(mesh)
    assert run("admin", "show").code == 0


def test_damaged_root(run: Run, mesh: Path, tmp_path: Path) -> None:
    """A root with one changed bit opens nothing."""
    path = mesh / "roots/1.root"
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        raw = bytearray(whole)
        raw[position] ^= 4
        path.write_bytes(raw)
        assert is_an_error(run("admin", "show", "--dir", "acme")), position


@pytest.mark.parametrize("flipped", [1, 128])
def test_bundle_with_a_changed_bit(
    run: Run, mesh: Path, passphrase: Path, tmp_path: Path, flipped: int
) -> None:
    """Wherever one bit of a bundle is changed, it is neither verified nor signed."""
    whole = (mesh / "bundles/1-1.hgb").read_bytes()
    draft = (tmp_path / "draft.hgb").read_bytes()
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    for position in range(0, len(whole), 61):
        raw = bytearray(whole)
        raw[position] ^= flipped
        (tmp_path / "broken.hgb").write_bytes(raw)
        assert is_an_error(run("admin", "verify", "broken.hgb", "--dir", "acme")), position
        raw = bytearray(draft)
        raw[position % len(draft)] ^= flipped
        (tmp_path / "broken.hgb").write_bytes(raw)
        before = snapshot(tmp_path)
        done = run("admin", "sign", "--add", "broken.hgb", "--key", "acme/keys/2.key", *common)
        assert is_an_error(done), (position, done)
        assert snapshot(tmp_path) == before


def test_bundle_cut_short(run: Run, mesh: Path, tmp_path: Path) -> None:
    """A bundle that ends too early is damaged at any length, the empty one too."""
    whole = (mesh / "bundles/1-1.hgb").read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.hgb").write_bytes(whole[:length])
        assert is_an_error(run("admin", "verify", "cut.hgb", "--dir", "acme")), length
    (tmp_path / "long.hgb").write_bytes(whole + b"\x00")
    assert is_an_error(run("admin", "verify", "long.hgb", "--dir", "acme"))


def test_bundle_of_another_mesh(run: Run, mesh: Path, passphrase: Path, tmp_path: Path) -> None:
    """A bundle of a mesh of the same name is recognised by its root and refused."""
    common = ("--passphrase-file", passphrase, "--dir", "evil")
    run("admin", "init", "acme", *common)
    keys = ("--key", "evil/keys/1.key", "--key", "evil/keys/2.key")
    assert run("admin", "sign", "acme.toml", *keys, *common).code == 0
    before = snapshot(tmp_path)
    done = run("admin", "verify", "evil/bundles/1-1.hgb", "--dir", "acme")
    assert is_an_error(done)
    assert "this is of the mesh acme" in done.err
    assert snapshot(tmp_path) == before


def test_head_signed_by_strangers(run: Run, mesh: Path, passphrase: Path, tmp_path: Path) -> None:
    """A head signed by keys that no root names is refused, even with the right roots beside it."""
    whole = Bundle.decode((mesh / "bundles/1-1.hgb").read_bytes())
    envelope = signing.decode(whole.head)
    mesh_id = signing.decode(whole.roots[0]).id
    forged = signing.seal(ObjectType.HEAD, mesh_id, envelope.payload, [bytes(32), b"1" * 32])
    bundle = Bundle(roots=whole.roots, head=forged, parts=whole.parts)
    (tmp_path / "forged.hgb").write_bytes(bundle.encode())
    done = run("admin", "verify", "forged.hgb", "--dir", "acme")
    assert is_an_error(done)
    assert "signed by an unknown key" in done.err


def test_bundle_without_a_policy(run: Run, mesh: Path, tmp_path: Path) -> None:
    """A file that is an object and no bundle is refused by verify, and by sign --add."""
    (device,) = (mesh / "devices").iterdir()
    for path in (device, mesh / "roots/1.root", tmp_path / "acme.toml"):
        assert is_an_error(run("admin", "verify", path, "--dir", "acme")), path


def test_policy_with_mistakes_is_not_signed(
    run: Run, mesh: Path, passphrase: Path, policy: Path, tmp_path: Path
) -> None:
    """All mistakes are shown, with file and line, and nothing is signed."""
    policy.write_text(POLICY.replace("group:dba", "group:dbb").replace("tcp/", "tpc/"))
    before = snapshot(tmp_path)
    done = sign(run, passphrase, policy, 1, 2, more=("--abandon",))
    assert done.code == 1
    assert len([line for line in done.err.splitlines() if line.startswith(f"{policy}:")]) > 3
    assert "mistakes\n  put them right" in done.err
    assert snapshot(tmp_path) == before


def test_full_disk(
    run: Run, mesh: Path, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a file cannot be flushed nothing is left of it, and the error says what to do."""
    before = snapshot(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for command in signing_commands(passphrase):
        done = run(*command)
        assert is_an_error(done), done
        assert "no space left on device" in done.err
        assert "free some space" in done.err
    made = run("admin", "init", "b", "--dir", "b", "--passphrase-file", passphrase)
    assert is_an_error(made)
    assert snapshot(tmp_path) == before


def test_second_command_at_the_same_time(
    run: Run, mesh: Path, passphrase: Path, tmp_path: Path
) -> None:
    """While one command works in a folder, another one that would change it is turned away."""
    before = snapshot(tmp_path)
    with files.locked(mesh):
        for command in signing_commands(passphrase):
            done = run(*command)
            assert is_an_error(done), done
            assert "another hedgerow command is at work in acme" in done.err
    assert snapshot(tmp_path) == before


def test_damaged_newest_bundle(
    run: Run, mesh: Path, passphrase: Path, policy: Path, tmp_path: Path
) -> None:
    """If the newest bundle in the folder is damaged, nothing is built on an older one."""
    (mesh / "bundles/1-1.hgb").write_bytes(b"damaged")
    before = snapshot(tmp_path)
    done = sign(run, passphrase, policy, 1, 2, more=("--abandon",))
    assert is_an_error(done)
    assert snapshot(tmp_path) == before
