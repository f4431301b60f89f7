"""SSH keys for tests: real ones through OpenSSH, and security keys made of software.

No token is needed: `SoftKey` signs as PROTOCOL.u2f says a FIDO2 key does, and where OpenSSH is
installed the tests have it confirm that. `Agent` is a small ssh-agent with such keys in it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import new, sha256
from pathlib import Path

import pytest

from crypto import signing, sshsig

PLAIN, SECURITY = b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"
SECONDS_MAX = 20.0


def string(value: bytes) -> bytes:
    """Return a string as RFC 4251 section 5 writes it."""
    return len(value).to_bytes(4, "big") + value


@dataclass(frozen=True)
class SoftKey:
    """An Ed25519 key in this process that signs as ssh-keygen does, rightly or wrongly.

    Attributes:
        seed: Its secret.
        application: Makes it a security key; None is a plain key.
        flags: What a security key says of the moment.
        counter: How often a security key says to have signed.
    """

    seed: bytes
    application: str | None = None
    flags: int = sshsig.USER_PRESENT
    counter: int = 7

    @property
    def public(self) -> bytes:
        """The key as roles name it."""
        point = signing.public_key(self.seed)
        return point if self.application is None else sshsig.security_key(point, self.application)

    @property
    def wire(self) -> bytes:
        """The key as SSH writes it."""
        point = string(signing.public_key(self.seed))
        if self.application is None:
            return string(PLAIN) + point
        return string(SECURITY) + point + string(self.application.encode())

    @property
    def line(self) -> str:
        """The line of its .pub file."""
        name = PLAIN if self.application is None else SECURITY
        return f"{name.decode()} {base64.b64encode(self.wire).decode()} somebody@somewhere\n"

    def signature(self, data: bytes) -> bytes:
        """Return the SSH signature of what an ssh-agent is asked to sign."""
        if self.application is None:
            return string(PLAIN) + string(signing.sign(self.seed, data))
        said = self.flags.to_bytes(1, "big") + self.counter.to_bytes(4, "big")
        message = sha256(self.application.encode()).digest() + said + sha256(data).digest()
        return string(SECURITY) + string(signing.sign(self.seed, message)) + said

    def sshsig(self, namespace: str, message: bytes, *, hash_name: str = "sha512") -> bytes:
        """Return what `ssh-keygen -Y sign` would make, without armour."""
        name, digest = hash_name.encode(), new(hash_name, message).digest()
        head = string(namespace.encode()) + string(b"") + string(name)
        made = self.signature(b"SSHSIG" + head + string(digest))
        return b"SSHSIG" + (1).to_bytes(4, "big") + string(self.wire) + head + string(made)

    def pair(
        self, object_type: signing.ObjectType, mesh_id: bytes, payload: bytes
    ) -> tuple[bytes, bytes]:
        """Return public key and SSHSIG of an object, for `signing.assemble`."""
        message = signing.to_be_signed_by_ssh(object_type, mesh_id, payload)
        return self.public, self.sshsig(signing.ssh_namespace(object_type), message)

    def untouched(self) -> SoftKey:
        """Return the same key, which nobody touches."""
        return replace(self, flags=0)


def armoured(blob: bytes) -> bytes:
    """Return a signature in the armour that ssh-keygen gives it."""
    text = base64.b64encode(blob)
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return b"\n".join(
        [b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""]
    )


def require() -> None:
    """Skip a test where OpenSSH is not installed, and fail it where CI is set."""
    missing = [name for name in ("ssh-keygen", "ssh-agent", "ssh-add") if not shutil.which(name)]
    if not missing:
        return
    message = f"missing: {', '.join(missing)} (scripts/install-system-packages brings them)"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def keygen(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen and return how it ended."""
    return subprocess.run(
        ["ssh-keygen", *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def make(path: Path) -> Path:
    """Make a key without a passphrase, PATH and PATH.pub, and return the latter."""
    done = keygen("-q", "-t", "ed25519", "-N", "", "-C", "holder", "-f", path)
    assert done.returncode == 0, done.stderr
    return path.with_name(f"{path.name}.pub")


def add(path: Path, socket: str) -> None:
    """Put a private key into the agent behind this socket."""
    done = subprocess.run(
        ["ssh-add", "-q", path],
        env={**os.environ, "SSH_AUTH_SOCK": socket},
        capture_output=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def real_agent() -> Iterator[str]:
    """Run an ssh-agent and give the path of its socket."""
    # In a folder with a short name: a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="hg-", dir="/tmp") as folder:
        path = f"{folder}/agent"
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with process:
            try:
                assert process.stdout is not None
                process.stdout.readline()  # the line with the socket: from now on it listens
                yield path
            finally:
                process.terminate()


@contextlib.contextmanager
def soft_agent(*keys: SoftKey) -> Iterator[str]:
    """Serve an ssh-agent with these keys in this process, and give the path of its socket."""

    class Handler(socketserver.StreamRequestHandler):
        """Answers one client until it goes."""

        def handle(self) -> None:
            while header := self.rfile.read(4):
                request = self.rfile.read(int.from_bytes(header, "big"))
                self.wfile.write(string(_answer(request, keys)))

    with (
        tempfile.TemporaryDirectory(prefix="hg-", dir="/tmp") as folder,
        socketserver.ThreadingUnixStreamServer(f"{folder}/agent", Handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{folder}/agent"
        finally:
            server.shutdown()
            thread.join()


def _answer(request: bytes, keys: tuple[SoftKey, ...]) -> bytes:
    """Return what an agent says (draft-ietf-sshm-ssh-agent sections 3.5 and 3.6)."""
    match request[0]:
        case 11:
            listed = b"".join(string(key.wire) + string(b"soft") for key in keys)
            return bytes([12]) + len(keys).to_bytes(4, "big") + listed
        case 13:
            size = int.from_bytes(request[1:5], "big")
            wire, rest = request[5 : 5 + size], request[5 + size :]
            data = rest[4 : 4 + int.from_bytes(rest[:4], "big")]
            for key in keys:
                if key.wire == wire:
                    return bytes([14]) + string(key.signature(data))
    return bytes([5])
