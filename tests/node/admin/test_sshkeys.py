"""Keys that ssh holds: what ssh-keygen answers is ours only if it is what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto import signing
from crypto.errors import LocalError
from crypto.signing import ObjectType
from node.admin import signers, sshkeys
from tests import sshkeys as ssh
from tests.sshkeys import SoftKey, armoured

MESH_ID, PAYLOAD = b"m" * 32, b"payload"
PLAIN, TOKEN = SoftKey(b"\x07" * 32), SoftKey(b"\x08" * 32, "ssh:")


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent of whoever runs the tests is left alone."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh-keygen that answers with the file `answer`, whatever it is asked."""
    program = tmp_path / "bin/ssh-keygen"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat >/dev/null; cat {tmp_path}/answer\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path / "answer"


def public_file(folder: Path, key: SoftKey) -> Path:
    """Write the .pub file of a key."""
    path = folder / "key.pub"
    path.write_text(key.line)
    return path


def signed_by(key: signers.Signer) -> frozenset[bytes]:
    """Have a key sign a head, and return who signed it."""
    raw = signers.seal(ObjectType.HEAD, MESH_ID, PAYLOAD, [key])
    return signing.signers(signing.decode(raw), MESH_ID, [key.public])


def test_a_private_key_file_signs(tmp_path: Path) -> None:
    """A key in a file is named by it or by its .pub file, and signs."""
    ssh.require()
    public = ssh.make(tmp_path / "id")
    for path in (public, tmp_path / "id"):
        key = sshkeys.load(path)
        assert signed_by(key) == {key.public}


def test_a_key_in_a_real_agent_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the private half in ssh-agent alone, the .pub file is enough; without it, it is not."""
    ssh.require()
    public = ssh.make(tmp_path / "id")
    key = sshkeys.load(public)
    with ssh.real_agent() as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        ssh.add(tmp_path / "id", socket)
        (tmp_path / "id").unlink()
        assert signed_by(key) == {key.public}
    with pytest.raises(LocalError, match=r"ssh-keygen did not sign with .*id\.pub") as caught:
        signed_by(key)
    assert "`ssh-add -L`" in caught.value.remedy


@pytest.mark.parametrize("key", [PLAIN, TOKEN])
def test_openssh_signs_through_an_agent_with_any_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: SoftKey
) -> None:
    """The installed ssh-keygen passes on what a security key signs; the key here is software."""
    ssh.require()
    with ssh.soft_agent(key) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        assert signed_by(sshkeys.load(public_file(tmp_path, key))) == {key.public}


def test_a_machine_without_openssh_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no ssh-keygen, the error names the package and the way round."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="ssh-keygen is not installed") as caught:
        signed_by(sshkeys.load(public_file(tmp_path, PLAIN)))
    assert "openssh-client" in caught.value.remedy
    assert "--export-tbs" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"Hello\n", armoured(b"SSHSIG\x00\x00\x00\x02")])
def test_another_answer_is_refused(tmp_path: Path, answer: Path, content: bytes) -> None:
    """A program that answers with no signature is not believed."""
    answer.write_bytes(content)
    with pytest.raises(LocalError, match="ssh-keygen answered with something else"):
        signed_by(sshkeys.load(public_file(tmp_path, PLAIN)))


def test_an_answer_by_another_key_is_refused(tmp_path: Path, answer: Path) -> None:
    """A private file that does not belong to its .pub file does not sign for it."""
    message = signing.to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    answer.write_bytes(armoured(TOKEN.sshsig("hedgerow-head", message)))
    with pytest.raises(LocalError, match="signed with another key than the one in"):
        signed_by(sshkeys.load(public_file(tmp_path, PLAIN)))


def test_the_public_half_has_to_be_there(tmp_path: Path) -> None:
    """A private key without its .pub file is refused with the command that makes it."""
    (tmp_path / "id").write_text("secret")
    with pytest.raises(LocalError, match=r"the public half of .* is not beside it") as caught:
        sshkeys.load(tmp_path / "id")
    assert f"ssh-keygen -y -f {tmp_path}/id > {tmp_path}/id.pub" in caught.value.remedy


def elsewhere(folder: Path, content: bytes) -> Path:
    """Write a file as ssh-keygen would elsewhere."""
    path = folder / "tbs.sig"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("key", [PLAIN, TOKEN])
def test_a_signature_made_elsewhere_signs_what_it_was_made_for(
    tmp_path: Path, key: SoftKey
) -> None:
    """A signature file stands for its key, under the object it covers and no other."""
    message = signing.to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    blob = key.sshsig("hedgerow-head", message)
    for form in (blob, armoured(blob)):
        made = sshkeys.load_signature(elsewhere(tmp_path, form))
        assert signed_by(made) == {key.public}
        for other in ((ObjectType.ROOT, MESH_ID, PAYLOAD), (ObjectType.HEAD, MESH_ID, b"x")):
            with pytest.raises(LocalError, match=r"tbs\.sig is no signature of this") as caught:
                made.sign(*other)
            assert f"-n hedgerow-{other[0]}" in caught.value.remedy


def test_a_signature_that_nobody_touched_the_key_for_says_so(tmp_path: Path) -> None:
    """What no one confirmed at the key is refused with that reason, and how to mend it."""
    message = signing.to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    blob = TOKEN.untouched().sshsig("hedgerow-head", message)
    made = sshkeys.load_signature(elsewhere(tmp_path, blob))
    with pytest.raises(LocalError, match="nobody touched the security key") as caught:
        signed_by(made)
    assert "no-touch-required" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PGP SIGNATURE-----\n", b"SSHSIG"])
def test_another_file_is_no_signature(tmp_path: Path, content: bytes) -> None:
    """Any other file is called so by its name."""
    with pytest.raises(LocalError, match=r"tbs\.sig is not a signature by ssh-keygen"):
        sshkeys.load_signature(elsewhere(tmp_path, content))


def test_one_key_in_two_forms_is_given_twice() -> None:
    """A key file and the same key in ssh, or on a security key, are one key (T13)."""
    with pytest.raises(LocalError, match="one key is given twice"):
        signers.require_distinct([PLAIN.public, SoftKey(PLAIN.seed, "ssh:").public])
    signers.require_distinct([PLAIN.public, TOKEN.public])
