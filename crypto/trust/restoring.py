"""Building the tables again from kept objects, whatever order they come in.

Everything is verified as on its first arrival; only times are not compared with the clock, which
may have been set back since. What rests on another object waits for it.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from crypto.errors import ObjectError, PeerError, UnknownParentError
from crypto.objects import (
    Accusation,
    Device,
    Head,
    Leave,
    Member,
    Revoke,
    Root,
    SignedObject,
    Sponsor,
    Ticket,
    parse,
)
from crypto.signing import Envelope, decode
from crypto.trust.admission import admit
from crypto.trust.records import Limits
from crypto.trust.tables import Tables

Refused: TypeAlias = dict[bytes, PeerError]
_Found: TypeAlias = list[tuple[Envelope, SignedObject]]
_Step: TypeAlias = tuple[Envelope, ...]
"""Envelopes to admit one after the other: a sponsorship comes with its device."""


def restore(
    objects: Iterable[bytes], *, adopted: bytes | None, mesh_id: bytes | None, limits: Limits
) -> tuple[Tables, tuple[tuple[bytes, PeerError], ...]]:
    """Return the tables that these objects make, and those objects that were refused.

    Raises:
        ObjectError: If there is no first root, or there are several and no `mesh_id` to choose.
        PeerError: If the first root is not signed by itself.
    """
    found, refused = _parsed(objects)
    tables = Tables(_first_root(found, mesh_id), limits)
    refused |= _admit_all(tables, list(_steps(found)))
    refused |= tables.heads.load(((e, o) for e, o in found if isinstance(o, Head)), adopted)
    tables.floor = max((tables.floor, *(kept.head.issued for kept in tables.heads)))
    tables.changed()
    return tables, tuple(refused.items())


def _parsed(objects: Iterable[bytes]) -> tuple[_Found, Refused]:
    found: _Found = []
    refused: Refused = {}
    for raw in objects:
        try:
            envelope = decode(raw)
            found.append((envelope, parse(envelope)))
        except PeerError as error:
            refused[raw] = error
    return found, refused


def _first_root(found: _Found, mesh_id: bytes | None) -> bytes:
    first = {e.id: e.raw for e, o in found if isinstance(o, Root) and o.version == 1}
    if mesh_id is None and len(first) == 1:
        return next(iter(first.values()))
    if mesh_id is None or mesh_id not in first:
        wanted = "one first root" if mesh_id is None else f"root {mesh_id.hex()[:16]}"
        raise ObjectError(f"{wanted} is needed to begin with, and {len(first)} are kept")
    return first[mesh_id]


def _steps(found: _Found) -> Iterator[_Step]:
    """Give the steps in the order in which most of them succeed at once.

    Revocations come before devices: where nothing is enrolled yet they disturb nothing.
    """
    roots = sorted((o.version, e.id, e) for e, o in found if isinstance(o, Root))
    yield from ((envelope,) for _, _, envelope in roots)
    for kind in (Ticket, Revoke):
        yield from ((e,) for e, o in found if isinstance(o, kind))
    devices = {e.id: e for e, o in found if isinstance(o, Device)}
    yield from ((e,) for e, o in found if isinstance(o, Device) and o.ticket is None)
    sponsors = sorted((o.at, e.id, o.device, e) for e, o in found if isinstance(o, Sponsor))
    for _, _, device, envelope in sponsors:
        yield (devices[device], envelope) if device in devices else (envelope,)
    yield from ((e,) for e in devices.values())
    yield from ((e,) for e, o in found if isinstance(o, Member | Accusation | Leave))


def _admit_all(tables: Tables, steps: list[_Step]) -> Refused:
    """Admit the steps again and again, until no waiting one has found what it waits for."""
    refused: Refused = {}
    while True:
        waiting: dict[_Step, Refused] = {}
        for step in steps:
            faults = _faults(tables, step)
            if any(isinstance(fault, UnknownParentError) for fault in faults.values()):
                waiting[step] = faults
            else:
                refused |= faults
        if len(waiting) == len(steps):
            break
        steps = list(waiting)
    for faults in waiting.values():
        refused |= faults
    return refused


def _faults(tables: Tables, step: _Step) -> Refused:
    faults: Refused = {}
    for envelope in step:
        try:
            admit(tables, envelope, None)
        except PeerError as error:
            faults[envelope.raw] = error
    return faults
