"""The forger: any mesh, and any object of it rightly or wrongly signed, in one call.

    mesh = Mesh()                                  # root 1, two of three holders, all seeds known
    ticket = mesh.ticket("guests", uses=3)         # a Forged: .raw .id .body .seed
    founder = mesh.device("founder")               # signed by the registrar
    laptop = mesh.device("laptop", ticket)         # signed by the ticket key and its own key
    sponsored = mesh.sponsor(laptop, founder)
    trust = mesh.trust(founder, ticket, laptop, sponsored)

Every maker takes the object's fields by name and, to forge badly, `seeds` (who signs instead) and
`mesh_id` (of which mesh). `envelope` builds what no honest program would: repeated key ids, junk
signatures, a payload under another type. Keys follow from labels, so runs are repeatable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from crypto import signing
from crypto.clock import Interval
from crypto.codec import Value, dumps
from crypto.errors import PeerError
from crypto.identity import DeviceKeys, overlay6
from crypto.objects import (
    Accusation,
    Device,
    Directory,
    Endpoint,
    Epoch,
    Head,
    Leave,
    Member,
    PartRef,
    Revoke,
    RevokeKind,
    Role,
    Root,
    SignedObject,
    Sponsor,
    Ticket,
)
from crypto.signing import ObjectType

if TYPE_CHECKING:
    from crypto.bundle import Bundle
    from crypto.trust import Trust

NOW = 1_800_000_000
DAY = 86_400

T_co = TypeVar("T_co", bound=SignedObject, covariant=True)


def seed(label: object) -> bytes:
    """Return the private seed of this label."""
    return sha256(f"forge {label}".encode()).digest()


def device_keys(label: object) -> DeviceKeys:
    """Return the device keys of this label."""
    count = iter(range(3))
    return DeviceKeys.generate(lambda _: seed(f"device {label} {next(count)}"))


def at(wall: float, doubt: float = 0.0) -> Interval:
    """Return the time interval around this instant."""
    return Interval.around(wall, doubt)


def role(labels: Iterable[object], threshold: int = 1) -> Role:
    """Return the role of the keys with these labels."""
    return Role(threshold, tuple(signing.public_key(seed(label)) for label in labels))


def envelope(
    object_type: ObjectType, payload: bytes, signatures: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return an envelope with these pairs of key id and signature, sensible or not."""
    header = dumps({1: -8})
    entries: list[Value] = [[header, {4: kid}, signature] for kid, signature in signatures]
    return dumps([signing.body_header(object_type), {}, payload, entries])


def signature(
    object_type: ObjectType, payload: bytes, signer: bytes, *, mesh_id: bytes
) -> tuple[bytes, bytes]:
    """Return the pair of key id and right signature by this seed, for `envelope`."""
    message = signing.to_be_signed(object_type, mesh_id, payload)
    return signing.key_id(signing.public_key(signer)), signing.sign(signer, message)


def resigned(raw: bytes, *, mesh_id: bytes, seeds: Sequence[bytes]) -> bytes:
    """Return the same payload, signed by others."""
    found = signing.decode(raw)
    return signing.seal(found.type, mesh_id, found.payload, seeds)


@dataclass(frozen=True, slots=True, repr=False)
class Forged(Generic[T_co]):
    """A signed object with what its maker knows.

    Attributes:
        type: What it is.
        raw: Its envelope.
        body: What it says.
        seed: The private seed of a ticket, or of a device.
        keys: All keys of a device.
    """

    type: ObjectType
    raw: bytes
    body: T_co
    seed: bytes = b""
    keys: DeviceKeys | None = None

    def __repr__(self) -> str:
        return f"<{self.type} {self.id.hex()[:8]}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: ANN401, FBT001 -- IPython's
        """Show it as short in a counter-example as anywhere."""
        printer.text(repr(self))

    @property
    def id(self) -> bytes:
        """Its object id."""
        return signing.object_id(self.body.to_payload())

    @property
    def device_id(self) -> bytes:
        """The public key of its seed: of a device, its id."""
        return signing.public_key(self.seed)


class Mesh:
    """A mesh whose admins will sign anything.

    Args:
        name: The mesh name; another name makes another mesh.
        threshold: How many of the holders it takes for roots and heads.
        holders: How many keys the roles root and policy have.
        changes: Fields of the first root that are not as usual.

    Attributes:
        roots: Every root so far, raw, in order.
        root: The newest root.
        signers: Labels of the keys of each role of the newest root.
        now: When everything is issued unless said otherwise.
    """

    def __init__(
        self,
        name: str = "hedge",
        *,
        threshold: int = 2,
        holders: int = 3,
        now: int = NOW,
        **changes: Any,  # noqa: ANN401 -- the fields of Root, by name
    ) -> None:
        self.now = now
        self.signers: dict[str, list[str]] = {
            "root": [f"{name} root {n}" for n in range(holders)],
            "policy": [f"{name} policy {n}" for n in range(holders)],
            "registrar": [f"{name} registrar"],
            "revoker": [f"{name} revoker"],
        }
        self._thresholds = {"root": threshold, "policy": threshold, "registrar": 1, "revoker": 1}
        self.root = replace(
            Root(
                version=1,
                mesh_name=name,
                issued=now,
                expires=now + 365 * DAY,
                roles=self.roles(),
            ),
            **changes,
        )
        self.mesh_id = signing.object_id(self.root.to_payload())
        self.roots = [self.seal(self.root, seeds=self.seeds("root"))]
        self._hosts: dict[IPv4Network, Iterator[IPv4Address]] = {}
        self._taken: set[IPv4Address] = set()

    def roles(self) -> dict[str, Role]:
        """Return the roles that `signers` stands for now."""
        return {
            name: role(labels, self._thresholds[name]) for name, labels in self.signers.items()
        }

    def seeds(self, role_name: str, count: int | None = None) -> list[bytes]:
        """Return seeds of a role: exactly its threshold unless `count` says otherwise."""
        count = self._thresholds[role_name] if count is None else count
        return [seed(label) for label in self.signers[role_name][:count]]

    def seal(
        self, body: SignedObject, *, seeds: Sequence[bytes], mesh_id: bytes | None = None
    ) -> bytes:
        """Return the envelope of any object, signed by these seeds for this or another mesh."""
        object_type = ObjectType(type(body).__name__.lower())
        return signing.seal(object_type, mesh_id or self.mesh_id, body.to_payload(), seeds)

    # What the admins sign.

    def next_root(
        self,
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        signers: Mapping[str, Sequence[str]] | None = None,
        keep: bool = True,
        **changes: Any,  # noqa: ANN401 -- the fields of Root, by name
    ) -> Forged[Root]:
        """Make the root after the newest one, and make it the newest unless `keep` is false.

        Args:
            seeds: Who signs; the thresholds of the old and the new root keys by default.
            mesh_id: For which mesh it is signed.
            signers: New labels of some roles.
            keep: Whether later objects are made under it.
            changes: Fields that are not as usual.
        """
        old_seeds, old_signers = self.seeds("root"), dict(self.signers)
        self.signers |= {name: list(labels) for name, labels in (signers or {}).items()}
        version = self.root.version + 1
        body = replace(
            self.root,
            version=version,
            issued=self.now + version,
            expires=self.now + version + 365 * DAY,
            roles=self.roles(),
            previous=signing.object_id(self.root.to_payload()),
        )
        body = replace(body, **changes)
        if seeds is None:
            seeds = list(dict.fromkeys([*old_seeds, *self.seeds("root")]))
        raw = self.seal(body, seeds=seeds, mesh_id=mesh_id)
        if keep:
            self.roots.append(raw)
            self.root = body
        else:
            self.signers = old_signers
        return Forged(ObjectType.ROOT, raw, body)

    def head(
        self,
        version: int = 1,
        *,
        parts: Mapping[str, bytes | PartRef] | None = None,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Head, by name
    ) -> Forged[Head]:
        """Make a head of the newest epoch; parts given as bytes get the head's version."""
        body = Head(
            epoch=self.root.version,
            version=version,
            issued=self.now,
            stale_after=self.now + 7 * DAY,
            expires=self.now + 30 * DAY,
            previous=None,
            parts={
                name: part if isinstance(part, PartRef) else part_ref(part, version)
                for name, part in (self.parts() if parts is None else parts).items()
            },
        )
        body = replace(body, **changes)
        raw = self.seal(body, seeds=seeds or self.seeds("policy"), mesh_id=mesh_id)
        return Forged(ObjectType.HEAD, raw, body)

    def parts(
        self, policy: bytes = b"policy", directory: Directory | None = None
    ) -> dict[str, bytes]:
        """Return the parts of a bundle: these policy bytes and this or an empty directory."""
        return {"policy": policy, "directory": (directory or Directory()).to_payload()}

    def bundle(
        self,
        version: int = 1,
        *,
        parts: Mapping[str, bytes] | None = None,
        **changes: Any,  # noqa: ANN401 -- as for `head`
    ) -> Bundle:
        """Make a whole bundle: every root so far, a head and its parts."""
        from crypto.bundle import Bundle

        parts = self.parts() if parts is None else parts
        head = self.head(version, parts=parts, **changes)
        return Bundle(roots=tuple(self.roots), head=head.raw, parts=dict(parts))

    def ticket(
        self,
        label: object = "ticket",
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Ticket, by name
    ) -> Forged[Ticket]:
        """Make a ticket of the registrar, by default for ten devices anywhere in the pool."""
        private = seed(f"ticket {label}")
        body = Ticket(
            public_key=signing.public_key(private),
            name=None,
            tags=(),
            owner=None,
            addresses=self.root.pool4,
            uses=10,
            issued=self.now,
            not_after=self.now + 7 * DAY,
        )
        body = replace(body, **changes)
        raw = self.seal(body, seeds=seeds or self.seeds("registrar"), mesh_id=mesh_id)
        return Forged(ObjectType.TICKET, raw, body, private)

    def revoke(
        self,
        kind: RevokeKind | str,
        subject: bytes | str,
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Revoke, by name
    ) -> Forged[Revoke]:
        """Make a revocation by the revoker, or by whoever `seeds` names."""
        body = replace(Revoke(RevokeKind(kind), subject, self.now + 60), **changes)
        raw = self.seal(body, seeds=seeds or self.seeds("revoker"), mesh_id=mesh_id)
        return Forged(ObjectType.REVOKE, raw, body)

    # What devices sign.

    def device(
        self,
        label: object = "device",
        ticket: Forged[Ticket] | None = None,
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Device, by name
    ) -> Forged[Device]:
        """Make a device as its ticket allows, or one that the registrar has approved.

        Under a ticket both the ticket's key and the device's own have to sign.
        """
        keys = device_keys(label)
        granted = ticket.body if ticket else None
        address = self._free_address(granted.addresses if granted else self.root.pool4)
        body = Device(
            device_id=keys.device_id,
            wireguard_public=keys.wireguard_public,
            gossip_public=keys.gossip_public,
            name=(granted.name if granted else None) or host_name(label),
            owner=granted.owner if granted else None,
            tags=granted.tags if granted else (),
            address4=address,
            address6=overlay6(self.mesh_id, keys.device_id),
            issued=granted.issued if granted else self.now,
            not_before=granted.issued if granted else self.now,
            ticket=ticket.id if ticket else None,
        )
        body = replace(body, **changes)
        if seeds is None:
            seeds = [ticket.seed, keys.sign_seed] if ticket else self.seeds("registrar")
        raw = self.seal(body, seeds=seeds, mesh_id=mesh_id)
        return Forged(ObjectType.DEVICE, raw, body, keys.sign_seed, keys)

    def sponsor(
        self,
        device: Forged[Device],
        by: Forged[Device],
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Sponsor, by name
    ) -> Forged[Sponsor]:
        """Make the word of `by` that it let `device` in, ten seconds after the ticket's issue."""
        body = Sponsor(
            device=device.id,
            ticket=device.body.ticket or bytes(32),
            at=self.now + 10,
            sponsor=by.body.device_id,
        )
        body = replace(body, **changes)
        raw = self.seal(body, seeds=seeds or [by.seed], mesh_id=mesh_id)
        return Forged(ObjectType.SPONSOR, raw, body)

    def member(
        self,
        device: Forged[Device],
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Member, by name
    ) -> Forged[Member]:
        """Make a device's record of itself."""
        body = Member(
            device_id=device.body.device_id,
            epoch=Epoch(1, 1),
            endpoints=(Endpoint("192.0.2.1", 41_641),),
            gossip_key=device.body.gossip_public,
            reachable=None,
            issued=self.now,
        )
        body = replace(body, **changes)
        raw = self.seal(body, seeds=seeds or [device.seed], mesh_id=mesh_id)
        return Forged(ObjectType.MEMBER, raw, body)

    def accusation(
        self,
        accuser: Forged[Device],
        subject: Forged[Device],
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Accusation, by name
    ) -> Forged[Accusation]:
        """Make one device's word that another does not answer."""
        body = Accusation(accuser.body.device_id, subject.body.device_id, Epoch(1, 1), self.now)
        body = replace(body, **changes)
        raw = self.seal(body, seeds=seeds or [accuser.seed], mesh_id=mesh_id)
        return Forged(ObjectType.ACCUSATION, raw, body)

    def leave(
        self,
        device: Forged[Device],
        *,
        seeds: Sequence[bytes] | None = None,
        mesh_id: bytes | None = None,
        **changes: Any,  # noqa: ANN401 -- the fields of Leave, by name
    ) -> Forged[Leave]:
        """Make a device's farewell."""
        body = replace(Leave(device.body.device_id, Epoch(1, 2), self.now), **changes)
        raw = self.seal(body, seeds=seeds or [device.seed], mesh_id=mesh_id)
        return Forged(ObjectType.LEAVE, raw, body)

    def _free_address(self, network: IPv4Network) -> IPv4Address:
        """Return the next address nobody has; the one of a single-address network every time."""
        if network.num_addresses == 1:
            return network[0]
        hosts = self._hosts.setdefault(network, iter(network.hosts()))
        address = next(host for host in hosts if host not in self._taken)
        self._taken.add(address)
        return address

    # Whole meshes.

    def trust(self, *objects: Forged[SignedObject] | bytes, now: float | None = None) -> Trust:
        """Return a `Trust` that has admitted every root so far and then these objects."""
        from crypto.trust import Trust

        trust = Trust(self.roots[0])
        instant = at(self.now + 100 if now is None else now)
        for item in [*self.roots[1:], *objects]:
            trust.admit(item if isinstance(item, bytes) else item.raw, instant)
        return trust

    def company(self, size: int) -> list[Forged[Device]]:
        """Return this many devices, n0 … , each approved by the registrar."""
        return [self.device(f"n{number}") for number in range(size)]


def host_name(label: object) -> str:
    """Return a label as a valid host name."""
    return "".join(c if c.isalnum() else "-" for c in str(label).lower()).strip("-") or "device"


def part_ref(data: bytes, version: int = 1) -> PartRef:
    """Return how a head refers to these bytes."""
    return PartRef(version, sha256(data).digest(), len(data))


def settling(*devices: Forged[Device], closed: Iterable[Forged[Ticket]] = ()) -> Directory:
    """Return a directory that settles these devices under their own names."""
    from crypto.objects import DirectoryDevice

    return Directory(
        devices={d.body.name: DirectoryDevice(d.body.device_id) for d in devices},
        closed_tickets=tuple(ticket.id for ticket in closed),
    )


def snapshot(trust: Trust, now: float = NOW + 100) -> tuple[object, ...]:
    """Return all that can be told of a trust, to see that nothing of it has changed."""
    return (
        trust.version,
        list(trust.objects()),
        (trust.head_id, trust.candidate_id, trust.missing(), trust.conflicts()),
        (trust.root, trust.floor),
        dict(trust.devices(at(now))),
        trust.next_change(at(now)),
    )


def refused(
    trust: Trust, raw: bytes, error: type[PeerError], *, now: float = NOW + 100
) -> PeerError:
    """Assert that an object is refused with exactly this error and that nothing has changed."""
    before = snapshot(trust, now)
    with pytest.raises(error) as caught:
        trust.admit(raw, at(now))
    assert type(caught.value) is error
    assert snapshot(trust, now) == before
    return caught.value


def single(address: str) -> IPv4Network:
    """Return the network of this one address, for a ticket of one use."""
    return IPv4Network(f"{address}/32")
