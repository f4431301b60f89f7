"""Whatever can sign for an admin: a key file that was opened, a key that ssh holds, a signature.

The commands ask for signatures and do not care who makes them. What they get is not verified here:
they read it like everything that comes from elsewhere before they build on it.
"""

from collections.abc import Iterable
from typing import Protocol

from crypto import signing, sshsig
from crypto.errors import LocalError
from crypto.signing import ObjectType


class Signer(Protocol):
    """One key, ready to sign."""

    @property
    def public(self) -> bytes:
        """The key as roles name it."""
        ...

    def sign(self, object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
        """Return a signature of this object, in either form.

        Raises:
            LocalError: The key is not at hand, or whoever holds it refuses.
        """
        ...


def seal(object_type: ObjectType, mesh_id: bytes, payload: bytes, keys: Iterable[Signer]) -> bytes:
    """Return the envelope of a payload, signed by each key in turn.

    Raises:
        LocalError: There is no key, or one does not sign.
    """
    made = [(key.public, key.sign(object_type, mesh_id, payload)) for key in keys]
    return signing.assemble(object_type, payload, made)


def append(raw: bytes, mesh_id: bytes, key: Signer) -> bytes:
    """Return an envelope with one more signature.

    Raises:
        LocalError: The key has signed already, or does not sign.
        PeerError: `raw` is no envelope.
    """
    envelope = signing.decode(raw)
    made = key.sign(envelope.type, mesh_id, envelope.payload)
    return signing.append(raw, key.public, made)


def require_distinct(keys: Iterable[bytes]) -> None:
    """Make sure that no key is given twice, in whatever form.

    Raises:
        LocalError: One is.
    """
    points = [sshsig.ed25519_key(key) for key in keys]
    if len(set(points)) < len(points):
        raise LocalError(
            "one key is given twice", remedy="a threshold counts each key once; name another one"
        )
