"""Admins whose keys ssh holds: they found, sign, enrol, revoke and rotate like all others.

The keys lie in an ssh-agent made of software; the installed ssh-keygen asks it as it would ask the
real one. Some are security keys, which no test can touch: the software says whether they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto import signing
from crypto.bundle import Bundle
from crypto.trust import Trust
from node.admin import files, keyfile, keytext
from node.cli import clock
from tests import sshkeys
from tests.cli.commands import PASSPHRASE, Outcome, Run, request, snapshot
from tests.sshkeys import SoftKey

pytestmark = pytest.mark.usefixtures("cheap_keys", "agent")

PLAIN, TOKEN = SoftKey(b"\x07" * 32), SoftKey(b"\x08" * 32, "ssh:")
STRANGER, NEW = SoftKey(b"\x09" * 32), SoftKey(b"\x0a" * 32, "ssh:new")
# Nobody is at this one: it signs, and says that it was not touched.
ASLEEP = SoftKey(b"\x0b" * 32, "ssh:", flags=0)
KEYS = {"plain": PLAIN, "token": TOKEN, "stranger": STRANGER, "new": NEW, "asleep": ASLEEP}

Admin = Callable[..., Outcome]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All the keys in an agent, each with its .pub file in the test's own folder."""
    sshkeys.require()
    for name, key in KEYS.items():
        (tmp_path / f"{name}.pub").write_text(key.line)
    with sshkeys.soft_agent(*KEYS.values()) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        yield


@pytest.fixture
def admin(run: Run, passphrase: Path, tmp_path: Path) -> Admin:
    """Run `hedgerow admin VERB …` on a mesh of three holders: a key file, an agent, a token."""
    run("admin", "keygen", "--out", "own.key", "--passphrase-file", passphrase)
    holders = ("--holder", "plain.pub", "--holder", TOKEN.line, "--holder", "asleep.pub")
    signing_keys = ("--key", "own.key", "--ssh-key", "token.pub")
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    done = run("admin", "init", "acme", *holders, *signing_keys, *common)
    assert done.code == 0, done.err

    def call(verb: str, *arguments: object) -> Outcome:
        return run("admin", verb, *arguments, *(common[:2] if verb == "show" else common))

    return call


def adopted(folder: Path, bundle: Path) -> Trust:
    """Return a node that knew only the first root and was handed a bundle."""
    trust = Trust((folder / "roots/1.root").read_bytes())
    read = Bundle.decode(bundle.read_bytes())
    for raw in (*read.roots, read.head):
        trust.admit(raw, clock.now())
    assert trust.candidate is not None
    return trust


def test_a_mesh_is_founded_with_such_keys(admin: Admin, tmp_path: Path) -> None:
    """The root names all holders, a security key with its application, and is in force."""
    trust = Trust((tmp_path / "acme/roots/1.root").read_bytes())
    keys = trust.root.roles["root"].keys
    assert set(keys) > {PLAIN.public, TOKEN.public, ASLEEP.public}
    shown = admin("show")
    for key in keys:
        assert keytext.format_key(key) in shown.out
    assert f":{TOKEN.application}" in keytext.format_key(TOKEN.public)


@pytest.mark.parametrize(
    "keys",
    [
        ("--ssh-key", "plain.pub", "--key", "own.key"),
        ("--ssh-key", "token.pub", "--ssh-key", "plain.pub"),
    ],
)
def test_any_two_holders_put_a_policy_in_force(
    admin: Admin, policy: Path, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    """Key files, ssh-agent and security keys meet the threshold together, for any node."""
    done = admin("sign", policy, *keys, "--out", "acme.hgb")
    assert done.code == 0, done.err
    assert "2 of the 2 needed" in done.out
    assert adopted(tmp_path / "acme", tmp_path / "acme.hgb").candidate is not None


def test_a_key_file_is_named_by_its_private_half(
    admin: Admin, run: Run, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in a file of OpenSSH's own signs, in a mesh that got it by rotation."""
    sshkeys.make(tmp_path / "id")
    keys = ("--key", "own.key", "--ssh-key", "plain.pub")
    assert admin("rotate-root", "--add", "id.pub", *keys).code == 0
    monkeypatch.delenv("SSH_AUTH_SOCK")
    done = admin("sign", policy, "--key", "own.key", "--ssh-key", "id", "--out", "acme.hgb")
    assert done.code == 0, done.err
    assert adopted(tmp_path / "acme", tmp_path / "acme.hgb").epoch == 2


def test_holders_sign_one_after_the_other(admin: Admin, policy: Path, tmp_path: Path) -> None:
    """A draft by a security key alone is completed by another holder's agent."""
    draft = admin("sign", policy, "--ssh-key", "token.pub", "--out", "draft.hgb")
    assert "1 of the 2 needed: not in force yet" in draft.out
    done = admin("sign", "--add", "draft.hgb", "--ssh-key", "plain.pub", "--out", "final.hgb")
    assert done.code == 0, done.err
    assert adopted(tmp_path / "acme", tmp_path / "final.hgb").candidate is not None


def test_t13_one_key_signs_once_in_whatever_form(
    admin: Admin, run: Run, policy: Path, passphrase: Path, tmp_path: Path
) -> None:
    """The same key in a key file and in ssh-agent is one holder, at once and one by one."""
    same = keyfile.OpenKey(PLAIN.public, PLAIN.seed)
    files.write(tmp_path / "same.key", keyfile.encode(same, PASSPHRASE))
    both = admin("sign", policy, "--key", "same.key", "--ssh-key", "plain.pub")
    assert (both.code, "one key is given twice" in both.err) == (1, True)
    assert admin("sign", policy, "--key", "same.key", "--out", "draft.hgb").code == 0
    before = snapshot(tmp_path)
    again = admin("sign", "--add", "draft.hgb", "--ssh-key", "plain.pub")
    assert (again.code, "has signed bundle 1-1 already" in again.err) == (1, True)
    assert snapshot(tmp_path) == before


def test_a_key_that_nobody_touched_signs_nothing(
    admin: Admin, policy: Path, tmp_path: Path
) -> None:
    """A security key that signs without a touch is refused, and the folder stays as it was."""
    before = snapshot(tmp_path)
    for verb, arguments in {
        "sign": (policy, "--key", "own.key"),
        "approve": (request("gateway")[1],),
        "revoke": ("alice", "--kind", "user"),
        "rotate-root": ("--key", "own.key"),
    }.items():
        done = admin(verb, *arguments, "--ssh-key", "asleep.pub")
        assert (done.code, "nobody touched the security key" in done.err) == (1, True), done.err
        assert "no-touch-required" in done.err
    assert snapshot(tmp_path) == before


def test_devices_come_and_go_by_such_keys(admin: Admin, tmp_path: Path) -> None:
    """Approvals, invites and revocations are signed by ssh keys, and verify anywhere."""
    approved = admin("approve", request("gateway")[1], "--ssh-key", "plain.pub")
    assert approved.code == 0, approved.err
    via = ("--via", "gateway=192.0.2.1:41641", "--name", "laptop")
    invited = admin("invite", *via, "--ssh-key", "token.pub")
    assert invited.code == 0, invited.err
    revoked = admin("revoke", "gateway", "--ssh-key", "token.pub")
    assert revoked.code == 0, revoked.err
    trust = Trust((tmp_path / "acme/roots/1.root").read_bytes())
    for name in ("tickets", "devices", "revokes"):
        (path,) = (tmp_path / "acme" / name).iterdir()
        envelope = signing.decode(path.read_bytes())
        assert b"SSHSIG" in envelope.signatures[0][1]
        assert trust.admit(envelope.raw, clock.now()).fresh
    assert trust.is_revoked("device", request("gateway")[0].device_id)


def test_a_registrar_is_revoked_by_its_pub_file(admin: Admin, tmp_path: Path) -> None:
    """The key of a registrar who lost a security key is named by the file of its public half."""
    done = admin("revoke", "token.pub", "--kind", "registrar", "--ssh-key", "plain.pub")
    assert done.code == 0, done.err
    assert admin("show", "--json").json["revoked"][0]["subject"] == TOKEN.public.hex()
    assert keytext.short_key(TOKEN.public) in admin("show").out.split("Revoked")[1]


def test_a_security_key_takes_the_place_of_another(
    admin: Admin, policy: Path, tmp_path: Path
) -> None:
    """A rotation by ssh keys removes one security key and brings in another, which then signs."""
    node = Trust((tmp_path / "acme/roots/1.root").read_bytes())
    change = ("--remove", "token.pub", "--add", "new.pub")
    done = admin("rotate-root", *change, "--ssh-key", "plain.pub", "--key", "own.key")
    assert done.code == 0, done.err
    assert f"  - {keytext.format_key(TOKEN.public)}" in done.err
    assert f"  + {keytext.format_key(NEW.public)}" in done.err
    node.admit((tmp_path / "acme/roots/2.root").read_bytes(), clock.now())
    assert NEW.public in node.root.roles["policy"].keys
    signed = admin("sign", policy, "--ssh-key", "new.pub", "--key", "own.key")
    assert signed.code == 0, signed.err
    lost = admin("sign", policy, "--ssh-key", "token.pub")
    short = keytext.short_key(TOKEN.public)
    assert f"the key {short} does not hold the policy role" in lost.err


# --- on a machine without ssh-keygen ---


def signed_elsewhere(path: Path, key: SoftKey, namespace: str) -> Path:
    """Sign a file as `ssh-keygen -Y sign FILE` does on the machine that has the key."""
    blob = key.sshsig(namespace, path.read_bytes())
    signature = path.with_name(f"{path.name}.sig")
    signature.write_bytes(sshkeys.armoured(blob))
    return signature


def test_a_bundle_is_signed_on_another_machine(admin: Admin, policy: Path, tmp_path: Path) -> None:
    """Exported bytes come back as a signature, and complete the bundle."""
    admin("sign", policy, "--key", "own.key", "--out", "draft.hgb")
    before = snapshot(tmp_path / "acme")
    out = admin("sign", "--add", "draft.hgb", "--export-tbs", "head.tbs")
    assert out.code == 0, out.err
    assert "its tests pass" in out.err
    assert "ssh-keygen -Y sign -n hedgerow-head -f KEY head.tbs" in out.out
    assert "hedgerow admin sign --add draft.hgb --add-sshsig head.tbs.sig" in out.out
    assert snapshot(tmp_path / "acme") == before
    signature = signed_elsewhere(tmp_path / "head.tbs", TOKEN, "hedgerow-head")
    done = admin("sign", "--add", "draft.hgb", "--add-sshsig", signature, "--out", "final.hgb")
    assert done.code == 0, done.err
    assert adopted(tmp_path / "acme", tmp_path / "final.hgb").candidate is not None


def test_a_root_is_signed_on_another_machine(
    admin: Admin, run: Run, passphrase: Path, tmp_path: Path
) -> None:
    """The first root of a mesh, and a later one, are exported and completed the same way."""
    holders = ("--holder", "token.pub", "--holder", "plain.pub", "--key", "own.key")
    common = ("--dir", "other", "--passphrase-file", passphrase)
    assert run("admin", "init", "other", *holders, *common).code == 0
    admin("rotate-root", "--key", "own.key")
    for path in ("other/roots/1.partial", "acme/roots/2.partial"):
        name = f"{path[:4]}.tbs"
        said = admin("sign", "--add", path, "--export-tbs", name, "--json").json
        assert said == {"to_be_signed": name, "namespace": "hedgerow-root"}
        signature = signed_elsewhere(tmp_path / name, TOKEN, "hedgerow-root")
        done = admin("sign", "--add", path, "--add-sshsig", signature)
        assert done.code == 0, done.err
        assert not (tmp_path / path).exists()
        assert (tmp_path / path).with_suffix(".root").exists()


def test_a_signature_of_something_else_is_refused(
    admin: Admin, policy: Path, tmp_path: Path
) -> None:
    """For another file, with another purpose, or by nobody's key: nothing is added."""
    admin("sign", policy, "--key", "own.key", "--out", "draft.hgb")
    admin("sign", "--add", "draft.hgb", "--export-tbs", "head.tbs")
    (tmp_path / "else").write_bytes(b"else")
    cases = {
        signed_elsewhere(tmp_path / "else", TOKEN, "hedgerow-head"): "else.sig is no signature",
        signed_elsewhere(tmp_path / "head.tbs", TOKEN, "file"): "for another purpose",
        policy: "acme.toml is not a signature by ssh-keygen",
    }
    before = snapshot(tmp_path)
    for path, said in cases.items():
        done = admin("sign", "--add", "draft.hgb", "--add-sshsig", path)
        assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before
    signed_elsewhere(tmp_path / "head.tbs", STRANGER, "hedgerow-head")
    done = admin("sign", "--add", "draft.hgb", "--add-sshsig", "head.tbs.sig")
    assert (done.code, "does not hold the policy role" in done.err) == (1, True)


@pytest.mark.parametrize(
    "options",
    [
        ("acme.toml", "--export-tbs", "x"),
        ("acme.toml", "--add-sshsig", "x"),
        ("--add", "x", "--export-tbs", "y", "--ssh-key", "plain.pub"),
        ("--add", "x", "--export-tbs", "y", "--add-sshsig", "z"),
        ("--add", "x", "--export-tbs", "y", "--out", "z"),
    ],
)
def test_the_way_round_goes_with_add_alone(
    admin: Admin, policy: Path, options: tuple[str, ...]
) -> None:
    """Exporting signs nothing, and only what is there already can be exported."""
    done = admin("sign", *options)
    assert done.code == 2
    assert "--export-tbs" in done.err


# --- mistakes ---


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("approve", (request("gateway")[1],), "stranger.pub is no registrar key of this mesh"),
        ("revoke", ("bob", "--kind", "user"), "stranger.pub is no revoker key of this mesh"),
        ("sign", ("acme.toml",), "does not hold the policy role in this mesh"),
        ("rotate-root", (), "none of the keys given holds the root role"),
    ],
)
def test_a_key_without_the_role_is_not_asked(
    admin: Admin, policy: Path, tmp_path: Path, verb: str, arguments: tuple[str, ...], said: str
) -> None:
    """A key of ssh that does not hold the role is refused before ssh-keygen is called."""
    before = snapshot(tmp_path)
    done = admin(verb, *arguments, "--ssh-key", "stranger.pub")
    assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before


def test_a_single_signature_takes_a_single_key(admin: Admin) -> None:
    """Two keys for what one signs are refused, whoever holds them."""
    text = request("gateway")[1]
    done = admin("approve", text, "--key", "own.key", "--ssh-key", "plain.pub")
    assert "a single registrar key signs this, not 2" in done.err
    assert "give --key or --ssh-key once" in done.err


def test_a_key_that_is_in_no_agent_is_named(
    admin: Admin, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When ssh-keygen finds no private half, the error says where it should be."""
    monkeypatch.delenv("SSH_AUTH_SOCK")
    before = snapshot(tmp_path)
    done = admin("sign", policy, "--ssh-key", "plain.pub")
    assert done.code == 1
    assert "ssh-keygen did not sign with plain.pub; it says why above" in done.err
    assert "`ssh-add -L`" in done.err
    assert snapshot(tmp_path) == before


def test_other_algorithms_found_no_mesh(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """An RSA key is refused by name, as a file and as a line, and no folder is made."""
    text = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE= old"
    (tmp_path / "rsa.pub").write_text(f"{text}\n")
    common = ("--dir", "acme", "--threshold", "1", "--passphrase-file", passphrase)
    for holder in ("rsa.pub", text):
        done = run("admin", "init", "acme", "--holder", holder, *common)
        assert (done.code, "'ssh-rsa' is not an algorithm" in done.err) == (1, True)
        assert "ssh-keygen -t ed25519" in done.err
    assert not (tmp_path / "acme").exists()


def test_one_key_in_two_kinds_founds_no_mesh(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """A security key whose secret is also a plain key would count twice (T13)."""
    twin = SoftKey(PLAIN.seed, "ssh:")
    holders = ("--holder", "plain.pub", "--holder", twin.line, "--ssh-key", "plain.pub")
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    done = run("admin", "init", "acme", *holders, *common)
    assert (done.code, "keys has an entry twice" in done.err) == (1, True)
    assert not (tmp_path / "acme").exists()


def test_keygen_prints_a_key_that_ssh_holds(run: Run) -> None:
    """With --holder nothing is made: the key is printed as the other commands print it."""
    assert run("admin", "keygen", "--holder", "plain.pub").out == f"ed25519:{PLAIN.public.hex()}\n"
    done = run("admin", "keygen", "--holder", TOKEN.line)
    assert done.out == f"{keytext.format_key(TOKEN.public)}\n"
    assert run("admin", "keygen").code == 2
    assert run("admin", "keygen", "--holder", "plain.pub", "--out", "x").code == 2
