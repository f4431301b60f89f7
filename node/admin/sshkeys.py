"""Signing with keys that ssh holds: ssh-keygen is asked, and what it answers is read strictly.

Nothing secret passes through here. OpenSSH finds the key in ssh-agent, in a file or on a security
key, and asks for the passphrase, the PIN or the touch itself, at the terminal.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crypto import signing, sshsig
from crypto.errors import LocalError, ObjectError, SignatureError
from crypto.signing import ObjectType
from node.admin import files, keytext


@dataclass(frozen=True, slots=True)
class SshKey:
    """A key that ssh-keygen can sign with.

    Attributes:
        path: The file to name to it: the public half of a key in ssh-agent, or a private key.
        public: The key as roles name it.
    """

    path: Path
    public: bytes

    def sign(self, object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
        """Have ssh-keygen sign this object.

        Raises:
            LocalError: It is not installed, it does not sign, or not with this key.
        """
        message = signing.to_be_signed_by_ssh(object_type, mesh_id, payload)
        made = _ask(self.path, signing.ssh_namespace(object_type), message)
        try:
            blob = sshsig.unarmour(made)
            key = sshsig.parse(blob).key
        except ObjectError as error:
            raise LocalError(
                f"ssh-keygen answered with something else: {error.message}"
            ) from error
        if key != self.public:
            raise LocalError(
                f"ssh-keygen signed with another key than the one in {self.path}",
                remedy="the private file and its .pub file do not belong together",
            )
        return blob


def load(path: Path) -> SshKey:
    """Find the public half of a key for ssh-keygen, which is in the file or beside it.

    Raises:
        LocalError: There is none, or it is a key that does not sign here.
    """
    public = path
    if path.suffix != keytext.PUBLIC_SUFFIX:
        public = path.with_name(path.name + keytext.PUBLIC_SUFFIX)
        if not public.exists():
            raise LocalError(
                f"the public half of {path} is not beside it: there is no {public}",
                remedy=f"make it: ssh-keygen -y -f {path} > {public}",
            )
    return SshKey(path=path, public=keytext.read_public(public))


def _ask(path: Path, namespace: str, message: bytes) -> bytes:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise LocalError(
            "ssh-keygen is not installed on this machine",
            remedy="install openssh-client; or sign elsewhere, with --export-tbs and --add-sshsig",
        )
    # Only its answer is ours: what it asks and complains of is for the person at the terminal.
    done = subprocess.run(  # noqa: S603 - no shell, and the one argument from outside is a path
        [program, "-q", "-Y", "sign", "-n", namespace, "-f", path],
        input=message,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise LocalError(
            f"ssh-keygen did not sign with {path}; it says why above",
            remedy="the key has to be in ssh-agent (`ssh-add -L` lists those that are), or its "
            "private half beside the .pub file",
        )
    return done.stdout


@dataclass(frozen=True, slots=True)
class MadeElsewhere:
    """A signature that ssh-keygen made on another machine, of bytes exported for it.

    Attributes:
        path: The file it came in.
        public: The key that is said to have made it.
        blob: The signature.
    """

    path: Path
    public: bytes
    blob: bytes

    def sign(self, object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
        """Return the signature, if it is of this object.

        Raises:
            LocalError: It is of something else.
        """
        raw = signing.assemble(object_type, payload, [(self.public, self.blob)])
        try:
            signing.signers(signing.decode(raw), mesh_id, (self.public,))
        except SignatureError as error:
            raise LocalError(
                f"{self.path} is no signature of this {object_type.value}: {error.message}",
                remedy=error.remedy
                or "export the bytes of this very file with --export-tbs and sign those, with "
                f"`ssh-keygen -Y sign -n {signing.ssh_namespace(object_type)}`",
            ) from error
        return self.blob


def load_signature(path: Path) -> MadeElsewhere:
    """Read the file that `ssh-keygen -Y sign` wrote.

    Raises:
        LocalError: It is something else, or by a key that does not sign here.
    """
    try:
        blob = sshsig.unarmour(files.read(path))
        return MadeElsewhere(path, sshsig.parse(blob).key, blob)
    except ObjectError as error:
        raise LocalError(
            f"{path} is not a signature by ssh-keygen: {error.message}", remedy=error.remedy
        ) from error
