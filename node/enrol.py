"""Make this machine a member: take an invite, or ask for approval and take the answer.

All of it is local: nothing is sent. Text is checked whole before anything is written, and then
everything is written in one transaction, so a crash leaves a machine that has not joined, or one
that has. What an interrupted attempt leaves behind is a key, which the next attempt uses.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from crypto import signing
from crypto.clock import Interval
from crypto.errors import ExpiredError, InviteError, LocalError, PeerError
from crypto.identity import DeviceKeys, overlay6
from crypto.invite import Approval, Bootstrap, Invite, Request
from crypto.objects import Device, Ticket
from crypto.objects.fields import LABEL
from crypto.signing import ObjectType
from crypto.trust import Trust
from node import address, keystore, lock, restore
from node.admin import files
from node.paths import Paths
from node.state import Store
from policy.records import time_text


@dataclass(frozen=True, slots=True)
class Joined:
    """A completed join.

    Attributes:
        mesh_name: the mesh.
        device: this device in it.
        fresh: whether this call did it; otherwise it had been done before.
    """

    mesh_name: str
    device: Device
    fresh: bool


class OtherMemberError(LocalError):
    """The folder belongs to another membership. State unchanged."""


def join(paths: Paths, invite: Invite, now: Interval, *, name: str) -> Joined:
    """Enrol this machine with an invite's ticket.

    Args:
        paths: where to keep it.
        invite: the invite.
        now: the time.
        name: what the device is to be called where the ticket does not say.

    Raises:
        InviteError: the invite is over, or its parts do not stand on each other.
        OtherMemberError: the folder already belongs to another mesh.
        LocalError: the name cannot be had, or the folder cannot be written to.
    """
    trust = _trust(invite.roots, (invite.ticket_raw,), now, what="invite")
    ticket = invite.ticket
    if now.may_have_reached(ticket.not_after):
        raise InviteError(
            f"this invite ended at {time_text(ticket.not_after)}",
            remedy="ask an admin for a new one, or set this machine's clock if it is wrong",
        )
    wanted = _name(ticket, name)
    with _Membership(paths) as membership:
        known = membership.known(invite.mesh_id)
        if known is not None:
            membership.remember(invite.bootstrap)
            return Joined(invite.mesh_name, known, fresh=False)
        keys = membership.keys()
        device = _device(invite, keys, wanted, now)
        raw = signing.seal(
            ObjectType.DEVICE,
            invite.mesh_id,
            device.to_payload(),
            [invite.ticket_seed, keys.sign_seed],
        )
        _admit(trust, (raw,), now, what="invite")
        if ticket.addresses.num_addresses > 1:
            address.keep(paths.state, invite.ticket_seed)
        membership.commit(trust, raw, invite.bootstrap)
    return Joined(invite.mesh_name, device, fresh=True)


def request(paths: Paths, *, name: str) -> Request:
    """Make keys for this machine, unless it has some, and return its request for approval.

    Raises:
        InviteError: the name is not one.
        OtherMemberError: the folder already belongs to a mesh.
        LocalError: the folder cannot be written to.
    """
    check_name(name)
    with _Membership(paths) as membership:
        membership.require_none()
        return Request.create(membership.keys(), name)


def approve(paths: Paths, approval: Approval, now: Interval, *, requested: Paths) -> Joined:
    """Complete a request with the admin's answer.

    Args:
        paths: where to keep it.
        approval: the answer.
        now: the time.
        requested: where the request was made, and its keys are.

    Raises:
        InviteError: the answer is for another device, or its parts do not stand on each other.
        OtherMemberError: the folder already belongs to another mesh.
        LocalError: no request was made there, or the folder cannot be written to.
    """
    objects = (approval.device_raw, *approval.objects)
    trust = _trust(approval.roots, objects, now, what="approval")
    for part in approval.parts:
        trust.admit_part(part)
    with _Membership(paths) as membership:
        known = membership.known(approval.mesh_id)
        if known is not None:
            membership.remember(approval.bootstrap)
            return Joined(trust.mesh_name, known, fresh=False)
        keys = keystore.load(requested.state)
        if keys is None:
            raise LocalError(
                f"no request was made in {requested.state}",
                remedy="make one with `hedgerow join --request`, in the same folder",
            )
        if keys.device_id != approval.device.device_id:
            raise InviteError(
                "this approval is for another device",
                remedy="give it to the machine that made the request, or name its folder: "
                "--state DIR",
            )
        membership.adopt_keys(keys)
        membership.commit(trust, approval.device_raw, approval.bootstrap)
        if requested.state != paths.state:
            # A device is in one mesh: the next request begins with keys of its own.
            keystore.forget(requested.state)
    return Joined(trust.mesh_name, approval.device, fresh=True)


def mesh_name(approval: Approval) -> str:
    """Return the name of the mesh that an approval is for.

    Raises:
        InviteError: its roots do not stand up.
    """
    try:
        return Trust(approval.roots[0]).mesh_name
    except PeerError as error:
        raise _broken("approval", error) from error


class _Membership:
    """A state directory while a join works on it."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = lock.held(paths.lock)
        self._store: Store | None = None

    def __enter__(self) -> Self:
        """Make the folder and hold its lock."""
        with files.explained("make", self._paths.state):
            self._paths.state.mkdir(mode=files.FOLDER_MODE, parents=True, exist_ok=True)
        self._lock.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the state file and let go of the lock."""
        if self._store is not None:
            self._store.close()
        self._lock.__exit__(None, None, None)

    @property
    def store(self) -> Store:
        """The state file, made when it is first needed."""
        if self._store is None:
            self._store = Store(self._paths.database)
        return self._store

    def known(self, mesh_id: bytes) -> Device | None:
        """Return the device that this folder already is in that mesh, or None in no mesh.

        Raises:
            OtherMemberError: it is in another mesh.
        """
        if not self._paths.database.exists():
            return None
        found = self.store.get(restore.MESH_ID)
        if found is None:
            return None
        if found != mesh_id:
            raise OtherMemberError(
                f"{self._paths.state} already belongs to another mesh",
                remedy="give this membership a folder of its own with --state DIR",
            )
        return restore.own_device(self.store)

    def require_none(self) -> None:
        """Raise unless this folder is in no mesh.

        Raises:
            OtherMemberError: it is in one.
        """
        if self._paths.database.exists() and restore.is_member(self.store):
            raise OtherMemberError(
                f"{self._paths.state} already belongs to a mesh",
                remedy="start the node with `hedgerow up`, or name another folder: --state DIR",
            )

    def keys(self) -> DeviceKeys:
        """Return this machine's keys, new ones where it has none."""
        keys = keystore.load(self._paths.state)
        if keys is None:
            keys = DeviceKeys.generate(os.urandom)
            keystore.save(self._paths.state, keys)
        return keys

    def adopt_keys(self, keys: DeviceKeys) -> None:
        """Keep keys that were made elsewhere, unless they are here."""
        here = keystore.load(self._paths.state)
        if here is None:
            keystore.save(self._paths.state, keys)
        elif here.device_id != keys.device_id:
            raise OtherMemberError(
                f"{self._paths.state} holds the keys of another device",
                remedy="give this membership a folder of its own with --state DIR",
            )

    def remember(self, bootstrap: Iterable[Bootstrap]) -> None:
        """Keep members to join through, those named first tried first."""
        with self.store.transaction():
            for number, member in enumerate(bootstrap):
                self.store.remember_member(member, heard=-float(number))

    def commit(self, trust: Trust, device_raw: bytes, bootstrap: Iterable[Bootstrap]) -> None:
        """Write the whole membership in one transaction: this is the moment of joining."""
        with self.store.transaction():
            self.store.add_objects((str(kind), key, raw) for kind, key, raw in trust.objects())
            for part in restore.known_parts(trust):
                self.store.add_part(*part)
            self.remember(bootstrap)
            self.store.put(restore.DEVICE, signing.object_id(signing.decode(device_raw).payload))
            self.store.put(restore.MESH_ID, trust.mesh_id)


def check_name(name: str) -> str:
    """Return the name if a device may have it.

    Raises:
        LocalError: it may not.
    """
    if not LABEL.fullmatch(name):
        raise LocalError(
            f"{name!r} cannot be a device's name",
            remedy="use lower-case letters, digits and dashes, at most 63: --name NAME",
        )
    return name


def _name(ticket: Ticket, name: str) -> str:
    if ticket.name is None:
        return check_name(name)
    if name and name != ticket.name:
        raise LocalError(
            f"this invite is for the name {ticket.name!r}, not {name!r}",
            remedy="leave --name out, or ask an admin for another invite",
        )
    return ticket.name


def _device(invite: Invite, keys: DeviceKeys, name: str, now: Interval) -> Device:
    """Return the device that the ticket allows.

    It is valid from the ticket's issue on, so that a clock that runs ahead here delays nothing.
    """
    ticket = invite.ticket
    issued = max(ticket.issued, int(now.lo))
    life = ticket.ephemeral_minutes
    address4 = address.choose(ticket.addresses, invite.mesh_id, keys.device_id)
    if address4 is None:
        raise InviteError(f"this invite gives no address: {ticket.addresses} is empty")
    return Device(
        device_id=keys.device_id,
        wireguard_public=keys.wireguard_public,
        gossip_public=keys.gossip_public,
        name=name,
        owner=ticket.owner,
        tags=ticket.tags,
        address4=address4,
        address6=overlay6(invite.mesh_id, keys.device_id),
        issued=issued,
        not_before=ticket.issued,
        not_after=None if life is None else issued + 60 * life,
        ticket=signing.object_id(signing.decode(invite.ticket_raw).payload),
    )


def _trust(roots: Sequence[bytes], objects: Iterable[bytes], now: Interval, *, what: str) -> Trust:
    """Verify what a text carries, before anything is written."""
    try:
        trust = restore.begin(roots, now)
    except PeerError as error:
        raise _broken(what, error) from error
    _admit(trust, objects, now, what=what)
    return trust


def _admit(trust: Trust, objects: Iterable[bytes], now: Interval, *, what: str) -> None:
    failed = restore.admit_all(trust, objects, now)
    if failed:
        raise _broken(what, failed[0][1]) from failed[0][1]


def _broken(what: str, error: PeerError) -> InviteError:
    remedy = "ask an admin for a new one"
    if isinstance(error, ExpiredError):
        remedy = "set this machine's clock; if it is right, ask an admin for a new one"
    return InviteError(f"this {what} cannot be used: {error}", remedy=remedy)
