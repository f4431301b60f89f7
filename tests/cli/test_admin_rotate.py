"""`hedgerow admin rotate-root`: keys are lost and replaced, and the mesh stays the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crypto.bundle import Bundle
from crypto.clock import Interval
from crypto.invite import Approval
from crypto.trust import Trust
from node.cli import clock
from tests.cli.commands import Outcome, Run, found, request, sign, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")

KEY_1, KEY_2, KEY_3 = (f"acme/keys/{n}.key" for n in (1, 2, 3))


@pytest.fixture
def mesh(run: Run, passphrase: Path, policy: Path, tmp_path: Path) -> Path:
    """A mesh with a policy in force."""
    found(run, passphrase)
    assert sign(run, passphrase, policy, 1, 2).code == 0
    return tmp_path / "acme"


@pytest.fixture
def rotate(run: Run, passphrase: Path) -> Run:
    """Run rotate-root on the folder acme, signed by the keys given."""

    def call(*keys: str, more: tuple[object, ...] = (), folder: str = "acme") -> Outcome:
        named = [text for key in keys for text in ("--key", key)]
        common = ("--dir", folder, "--passphrase-file", passphrase)
        return run("admin", "rotate-root", *named, *common, *more)

    return call


@pytest.fixture
def new_key(run: Run, passphrase: Path) -> str:
    """The public half of new.key."""
    return run("admin", "keygen", "--out", "new.key", "--passphrase-file", passphrase).out.strip()


def public_keys(run: Run) -> list[str]:
    """Return the public keys of the newest root, in order."""
    return [each["key"] for each in run("admin", "show", "--dir", "acme", "--json").json["keys"]]


def test_lost_key_is_replaced(
    run: Run, rotate: Run, passphrase: Path, policy: Path, mesh: Path, new_key: str
) -> None:
    """The two holders left replace the third; a node follows, and takes the next policy."""
    node = Trust((mesh / "roots/1.root").read_bytes())
    lost = public_keys(run)[2]
    done = rotate(KEY_1, KEY_2, more=("--remove", lost, "--add", new_key))
    assert done.code == 0, done.err
    assert f"  - {lost}" in done.err
    assert f"  + {new_key}" in done.err
    assert "the new root begins a new epoch" in done.out
    assert public_keys(run) == [*public_keys(run)[:2], new_key]
    node.admit((mesh / "roots/2.root").read_bytes(), clock.now())
    assert node.epoch == 2
    old = sign(run, passphrase, policy, 1, 3)
    assert "does not hold the policy role in this mesh" in old.err
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    keys = ("--key", KEY_1, "--key", "new.key")
    signed = run("admin", "sign", policy, *keys, *common, "--json")
    assert (signed.json["epoch"], signed.json["version"]) == (2, 1)
    assert "nobody gains or loses access" in signed.err
    bundle = Bundle.decode((mesh / "bundles/2-1.hgb").read_bytes())
    node.admit(bundle.head, clock.now())
    assert node.candidate is not None
    assert bundle.decoded_head().previous is not None
    assert run("admin", "verify", mesh / "bundles/2-1.hgb", "--dir", "acme").code == 0


def test_holders_sign_one_after_another(
    run: Run, rotate: Run, passphrase: Path, mesh: Path, new_key: str, tmp_path: Path
) -> None:
    """A root with too few signatures waits, is not in force, and is completed elsewhere."""
    shutil.copytree(mesh, tmp_path / "other")
    done = rotate(KEY_1, more=("--add", new_key, "--out", "two.root"))
    assert "new keys: signed by 1 of the 2 needed, old keys: signed by 1 of the 2" in done.out
    assert run("admin", "show", "--dir", "acme", "--json").json["root"] == 1
    again = rotate(KEY_1, KEY_2)
    assert again.code == 1
    assert "2.partial still lacks signatures" in again.err
    common = ("--passphrase-file", passphrase, "--dir", "other", "--json")
    halfway = run("admin", "sign", "--add", "two.root", "--key", "new.key", *common)
    assert halfway.json["complete"] is False, "a new key alone does not speak for the old ones"
    partial = "other/roots/2.partial"
    final = run("admin", "sign", "--add", partial, "--key", KEY_2, *common)
    assert final.json["complete"] is True, final.err
    assert not (tmp_path / partial).exists()
    assert run("admin", "show", "--dir", "other", "--json").json["root"] == 2


def test_old_bundle_is_no_longer_verified_or_handed_on(
    run: Run, rotate: Run, passphrase: Path, mesh: Path
) -> None:
    """After a rotation the old bundle is of an old epoch, and approvals leave it out."""
    assert rotate(KEY_1, KEY_2).code == 0
    done = run("admin", "verify", mesh / "bundles/1-1.hgb", "--dir", "acme")
    assert done.code == 1
    assert "bundle 1-1 is signed under root 1, and the newest root is 2" in done.err
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    made = Approval.decode(run("admin", "approve", request("gateway")[1], *common).out)
    assert (len(made.roots), made.parts) == (2, ())


def test_cosigner_takes_the_new_root_from_a_bundle(
    run: Run, rotate: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """A holder whose folder does not know the new root learns it from the bundle he completes."""
    shutil.copytree(mesh, tmp_path / "other")
    rotate(KEY_1, KEY_2)
    sign(run, passphrase, policy, 1, more=("--out", "draft.hgb"))
    common = ("--passphrase-file", passphrase, "--dir", "other")
    before = snapshot(tmp_path / "other")
    run("admin", "verify", "draft.hgb", "--dir", "other")
    assert snapshot(tmp_path / "other") == before, "verify writes nothing"
    done = run("admin", "sign", "--add", "draft.hgb", "--key", KEY_2, *common)
    assert done.code == 0, done.err
    assert (tmp_path / "other/roots/2.root").exists()
    assert (tmp_path / "other/bundles/2-1.hgb").exists()


def test_threshold_and_single_roles(run: Run, rotate: Run, mesh: Path, new_key: str) -> None:
    """--threshold is of root and policy, and --role limits what a key gets."""
    done = rotate(KEY_1, KEY_2, KEY_3, more=("--threshold", 3, "--json"))
    assert done.json["threshold"] == 3
    shown = run("admin", "show", "--dir", "acme", "--json").json
    assert shown["thresholds"] == {"root": 3, "policy": 3, "registrar": 1, "revoker": 1}
    more = ("--add", new_key, "--role", "registrar")
    assert rotate(KEY_1, KEY_2, KEY_3, more=more).code == 0
    keys = run("admin", "show", "--dir", "acme", "--json").json["keys"]
    assert next(each["roles"] for each in keys if each["key"] == new_key) == ["registrar"]


def test_raised_threshold_needs_the_new_number(run: Run, rotate: Run, mesh: Path) -> None:
    """Two of three may not decide alone that from now on three have to sign."""
    done = rotate(KEY_1, KEY_2, more=("--threshold", 3))
    assert "new keys: signed by 2 of the 3 needed, old keys: signed by 2 of the 2" in done.out
    assert run("admin", "show", "--dir", "acme", "--json").json["root"] == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--remove", "ed25519:" + "ab" * 32), "holds none of the roles root, policy"),
        (("--remove", "nonsense"), "is not a public key"),
        (("--threshold", "4"), "threshold 4 of 3 keys"),
        (("--add", "ed25519:" + "00" * 32), "no valid Ed25519 public key"),
    ],
)
def test_impossible_rotation(
    rotate: Run, mesh: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    """A rotation that cannot be is refused before a passphrase is needed."""
    before = snapshot(tmp_path)
    done = rotate(KEY_1, KEY_2, more=more)
    assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before


def test_stranger_cannot_rotate(
    run: Run, rotate: Run, passphrase: Path, mesh: Path, new_key: str, tmp_path: Path
) -> None:
    """A key that holds no role signs no root, not even one that gives it a role later."""
    before = snapshot(tmp_path)
    done = rotate("new.key")
    assert done.code == 1
    assert "none of the keys given holds the root role" in done.err
    assert snapshot(tmp_path) == before


def test_root_of_a_version_that_is_past(
    run: Run, rotate: Run, passphrase: Path, mesh: Path, tmp_path: Path
) -> None:
    """Once a root 2 is complete nobody signs another root 2."""
    rotate(KEY_1, more=("--out", "late.root"))
    (mesh / "roots/2.partial").unlink()
    rotate(KEY_1, KEY_2)
    common = ("--key", KEY_3, "--dir", "acme", "--passphrase-file", passphrase)
    before = snapshot(tmp_path)
    late = run("admin", "sign", "--add", "late.root", *common)
    assert late.code == 1
    assert "this is root version 2, and version 3 is the next here" in late.err
    assert snapshot(tmp_path) == before


def test_root_that_follows_another_one(
    run: Run, rotate: Run, passphrase: Path, mesh: Path, tmp_path: Path
) -> None:
    """A second root of another mesh with the same number is recognised by what it follows."""
    run("admin", "init", "acme", "--dir", "evil", "--passphrase-file", passphrase)
    rotate("evil/keys/1.key", more=("--out", "foreign.root"), folder="evil")
    common = ("--key", KEY_3, "--dir", "acme", "--passphrase-file", passphrase)
    before = snapshot(tmp_path)
    done = run("admin", "sign", "--add", "foreign.root", *common)
    assert done.code == 1
    assert "this root follows another root 1 than the one here" in done.err
    assert snapshot(tmp_path) == before


def test_renewal_in_time(run: Run, rotate: Run, mesh: Path) -> None:
    """A rotation without changes renews the root for the lifetime asked for."""
    first = run("admin", "show", "--dir", "acme", "--json").json["expires"]
    done = rotate(KEY_1, KEY_2, more=("--lifetime", "10y", "--json"))
    assert done.json["expires"] > first


def test_end_of_the_root_is_announced(
    run: Run, mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a month before a root expires every command says so, and how to renew it."""
    quiet = run("admin", "show", "--dir", "acme")
    present = clock.now()
    shift = (2 * 365 - 20) * 86400
    moved = Interval(present.lo + shift, present.hi + shift)
    monkeypatch.setattr("node.cli.admin.options.now", lambda: moved)
    late = run("admin", "show", "--dir", "acme")
    assert "warning" not in quiet.err
    assert late.code == 0
    assert "warning: root 1 expires at " in late.err
    assert "hedgerow admin rotate-root" in late.err
