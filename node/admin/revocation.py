"""Revoking: what a name on the command line stands for, and the object that takes it away."""

import re

from crypto.errors import LocalError
from crypto.objects import Revoke, RevokeKind
from crypto.signing import ObjectType
from node.admin import keytext, signers
from node.admin.folder import Folder
from node.admin.signers import Signer

_ID = re.compile(r"[0-9A-Fa-f]{64}")
_ID_START = re.compile(r"[0-9A-Fa-f]{8,64}")


def subject(folder: Folder, kind: RevokeKind, text: str) -> bytes | str:
    """Return whom a text means: a name or the beginning of an id, as the kind has it.

    Raises:
        LocalError: It means nobody, or more than one.
    """
    match kind:
        case RevokeKind.DEVICE:
            return _device(folder, text)
        case RevokeKind.TICKET:
            return _ticket(folder, text)
        case RevokeKind.REGISTRAR:
            return _registrar(folder, text)
        case _:
            return text


def _device(folder: Folder, text: str) -> bytes:
    known = folder.in_force()
    if text in known:
        return known[text].device_id
    if _ID.fullmatch(text):
        return bytes.fromhex(text)
    return _one("device", text, {d.device_id for d in folder.devices.values()})


def _ticket(folder: Folder, text: str) -> bytes:
    named = [i for i, ticket in folder.tickets.items() if ticket.name == text]
    return named[0] if len(named) == 1 else _one("ticket", text, set(folder.tickets))


def _registrar(folder: Folder, text: str) -> bytes:
    key = keytext.find_key(text)
    if key not in folder.root.roles["registrar"].keys:
        raise LocalError(
            f"{text} is not a registrar key of this mesh",
            remedy="`hedgerow admin show` lists the keys of each role",
        )
    return key


def _one(kind: str, text: str, ids: set[bytes]) -> bytes:
    """Return the single id that begins with the text."""
    found = [i for i in ids if _ID_START.fullmatch(text) and i.hex().startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    what = (
        f"{text!r} is the beginning of {len(found)} {kind} ids"
        if found
        else (f"no {kind} in this folder is called {text!r}, and no id begins so")
    )
    raise LocalError(
        what,
        remedy="give the whole id of 64 digits: `hedgerow peers` or `admin show` lists them",
    )


def require_new(folder: Folder, what: Revoke) -> None:
    """Make sure that a revocation says something new.

    Raises:
        LocalError: The same is revoked already.
    """
    for known in folder.revokes.values():
        if (known.kind, known.subject) == (what.kind, what.subject):
            raise LocalError(
                f"this {what.kind.value} is revoked already",
                remedy="`hedgerow admin show` lists it; publish its file if a node lacks it",
            )


def revoke(folder: Folder, revoker: Signer, what: Revoke) -> bytes:
    """Sign a revocation and return its envelope; the folder is not changed."""
    return signers.seal(ObjectType.REVOKE, folder.mesh_id, what.to_payload(), [revoker])
