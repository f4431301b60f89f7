"""Letting devices in: tickets for invites, and devices signed on request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from crypto import signing
from crypto.bundle import Bundle
from crypto.errors import LocalError
from crypto.identity import overlay6, short_id
from crypto.invite import Approval, Bootstrap, Invite, Request
from crypto.objects import Device, RevokeKind, Ticket
from crypto.signing import ObjectType
from node.admin import addresses, files, keyfile, layout, signers
from node.admin.folder import Folder
from node.admin.signers import Signer
from node.bootstrap import parse_bootstrap, parse_place


@dataclass(frozen=True, slots=True)
class Wish:
    """What an admin wants a device, or the devices of a ticket, to be.

    Attributes:
        name: The name; None leaves it to the device.
        tags: The tags.
        owner: The user it belongs to.
        addresses: The address or range; None takes the lowest free one.
        lifetime_seconds: How long the ticket or the device is good for; None is until revoked.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    owner: str | None = None
    addresses: IPv4Network | None = None
    lifetime_seconds: int | None = None


def invite(
    folder: Folder,
    registrar: Signer,
    wish: Wish,
    *,
    uses: int,
    ephemeral_minutes: int | None,
    bootstrap: Sequence[Bootstrap],
) -> Invite:
    """Sign a ticket and return the invite with it; the folder is yet to keep the ticket.

    Raises:
        LocalError: The name or address is not free.
        PeerError: The wish contradicts itself.
    """
    if wish.name is not None:
        check_name_free(folder, wish.name)
    key = keyfile.generate()
    issued = folder.issued
    ticket = Ticket(
        public_key=key.public,
        name=wish.name,
        tags=wish.tags,
        owner=wish.owner,
        addresses=_addresses(folder, registrar, wish.addresses, uses),
        uses=uses,
        issued=issued,
        not_after=issued + (wish.lifetime_seconds or 0),
        ephemeral_minutes=ephemeral_minutes,
    )
    raw = _seal(folder, registrar, ObjectType.TICKET, ticket.to_payload())
    folder.admit(raw)
    return Invite(
        mesh_id=folder.mesh_id,
        mesh_name=folder.root.mesh_name,
        ticket_raw=raw,
        ticket_seed=key.seed,
        bootstrap=tuple(bootstrap),
        roots=folder.roots,
    )


def approve(
    folder: Folder,
    registrar: Signer,
    request: Request,
    wish: Wish,
    *,
    bootstrap: Sequence[Bootstrap],
) -> Approval:
    """Sign the device of a request and return its approval; the folder is yet to keep the device.

    Raises:
        LocalError: The device was approved before, or its name or address is not free.
        PeerError: The wish contradicts itself.
    """
    _check_new(folder, request.device_id)
    name = wish.name or request.name
    check_name_free(folder, name)
    issued = folder.issued
    wanted = _addresses(folder, registrar, wish.addresses, 1)
    device = Device(
        device_id=request.device_id,
        wireguard_public=request.wireguard_public,
        gossip_public=request.gossip_public,
        name=name,
        owner=wish.owner,
        tags=wish.tags,
        address4=wanted.network_address,
        address6=overlay6(folder.mesh_id, request.device_id),
        issued=issued,
        not_before=issued,
        not_after=None if wish.lifetime_seconds is None else issued + wish.lifetime_seconds,
    )
    raw = _seal(folder, registrar, ObjectType.DEVICE, device.to_payload())
    folder.admit(raw)
    return approval(folder, raw, bootstrap)


def approve_again(folder: Folder, name: str, bootstrap: Sequence[Bootstrap]) -> Approval:
    """Return the approval of a device that was approved before; nothing is signed.

    Raises:
        LocalError: No such device was approved here.
    """
    device = find_device(folder, name)
    object_id = signing.object_id(device.to_payload())
    raw = files.read(layout.object_path(folder.path, ObjectType.DEVICE, object_id))
    return approval(folder, raw, bootstrap)


def approval(folder: Folder, raw: bytes, bootstrap: Sequence[Bootstrap]) -> Approval:
    """Return what a device that was signed needs to begin: roots, its own object, the bundle."""
    head: tuple[bytes, ...] = ()
    parts: tuple[bytes, ...] = ()
    stored = folder.newest_bundle()
    # A bundle from before the last rotation may be signed by keys that are gone.
    if stored is not None and stored.epoch == folder.root.version:
        bundle = Bundle.decode(files.read(stored.path))
        head, parts = (bundle.head,), tuple(dict.fromkeys(bundle.parts.values()))
    members = {member.device_id for member in bootstrap}
    known = tuple(
        files.read(layout.object_path(folder.path, ObjectType.DEVICE, object_id))
        for object_id, device in folder.devices.items()
        if device.device_id in members
    )
    return Approval(
        mesh_id=folder.mesh_id,
        roots=folder.roots,
        device_raw=raw,
        bootstrap=tuple(bootstrap),
        objects=(*head, *known),
        parts=parts,
    )


def _seal(folder: Folder, registrar: Signer, kind: ObjectType, payload: bytes) -> bytes:
    return signers.seal(kind, folder.mesh_id, payload, [registrar])


def _addresses(
    folder: Folder, registrar: Signer, wanted: IPv4Network | None, uses: int
) -> IPv4Network:
    pool = folder.root.pool4
    taken = folder.taken
    if wanted is not None:
        addresses.check_free(wanted, pool, taken)
        return wanted
    within = addresses.own_slice(pool, folder.registrars(), registrar.public)
    prefix = 32 if uses == 1 else addresses.range_prefix(uses)
    return addresses.lowest_free(pool, within, taken, prefix=prefix)


def check_name_free(folder: Folder, name: str) -> None:
    """Make sure that no device in force and no open ticket has a name.

    Raises:
        LocalError: One has.
    """
    remedy = "choose another name, or revoke the one that has it"
    if name in folder.in_force():
        raise LocalError(f"the name {name} belongs to an approved device", remedy=remedy)
    for ticket_id, ticket in folder.tickets.items():
        if ticket.name == name and is_open(folder, ticket_id, ticket):
            raise LocalError(f"the name {name} is promised by an open invite", remedy=remedy)


def is_open(folder: Folder, ticket_id: bytes, ticket: Ticket) -> bool:
    """Say whether a ticket can still enrol anyone, as far as this folder knows."""
    expired = folder.now.may_have_reached(ticket.not_after)
    return not expired and not folder.trust.is_revoked(RevokeKind.TICKET, ticket_id)


def _check_new(folder: Folder, device_id: bytes) -> None:
    if folder.trust.is_revoked(RevokeKind.DEVICE, device_id):
        raise LocalError(
            f"the device {short_id(device_id)} is revoked, and that is for good",
            remedy="have it make new keys: remove its state directory and request again",
        )
    for device in folder.devices.values():
        if device.device_id == device_id:
            raise LocalError(
                f"the device {short_id(device_id)} was approved before, as {device.name}",
                remedy=f"print its approval again: hedgerow admin approve --again {device.name}",
            )


def bootstrap_members(folder: Folder, texts: Iterable[str]) -> tuple[Bootstrap, ...]:
    """Read members to join through: full lines, NAME=HOST:PORT, or HOST:PORT/ID.

    Raises:
        LocalError: One is none of these, or names no device that was approved here.
    """
    return tuple(_member(folder, text.strip()) for text in texts)


def _member(folder: Folder, text: str) -> Bootstrap:
    left, equals, right = text.partition("=")
    if equals and ":" in left:
        return parse_bootstrap(text)
    if equals:
        name, place_text = left, right
    else:
        place_text, _, name = text.rpartition("/")
    device = find_device(folder, name)
    place = parse_place(place_text)
    return Bootstrap(
        host=place.host,
        port=place.port,
        device_id=device.device_id,
        gossip_public=device.gossip_public,
    )


def find_device(folder: Folder, name: str) -> Device:
    """Return the device in force with this name, or whose id begins so.

    Raises:
        LocalError: There is none, or more than one.
    """
    in_force = folder.in_force()
    if name in in_force:
        return in_force[name]
    found = [d for d in in_force.values() if name and d.device_id.hex().startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    raise LocalError(
        f"no device {name!r} was approved in this folder",
        remedy="name one that `hedgerow admin show` lists, or paste the line that "
        "`hedgerow status` prints on a member",
    )
