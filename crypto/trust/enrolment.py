"""Who belongs to the mesh: the sponsorships replayed in the order of their times.

Registrar-signed devices and those that a directory settles are in from the start. From them the
sponsorships are followed as in Dijkstra's search (1959), the lowest rank first: a device is in
since `max(at, since its sponsor is in)`, so nobody vouches for anything before he was in himself,
and the order has no cycles even when two clocks differ. Each enrolment takes one use of its
ticket; who comes when none is left is *displaced*. The result follows from the set of objects
alone, so it is the same on every node in any order of arrival.

What a revoked sponsor vouched for before it was revoked stays in, or one stolen machine would
take along whoever once came in through it. But it ranks behind all that others vouched for, so
that the thief of a device and of an invite cannot date himself before an honest device.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeAlias

from crypto.objects import RevokeKind
from crypto.trust.register import KeptDevice, KeptSponsor, KeptTicket, NodeId, Register
from crypto.trust.revocations import Revocations
from crypto.trust.roots import Roots, earliest

Rank: TypeAlias = tuple[int, float, int, bytes]
"""Behind a revoked sponsor or not; since when; steps in that second; device id.

The lowest come first. A device always ranks behind its sponsor, so the search meets all in order.
"""


@dataclass(slots=True)
class Node:
    """A device that is enrolled.

    Attributes:
        id: Which enrolment of which device.
        rank: Its place among the devices of its ticket.
        settled: Whether a directory settles it.
        objects: The device objects that speak of it, by object id.
    """

    id: NodeId
    rank: Rank
    settled: bool
    objects: dict[bytes, KeptDevice] = field(default_factory=dict)

    @property
    def since(self) -> float:
        """From when it may vouch for others."""
        return self.rank[1]

    @property
    def newest(self) -> KeptDevice:
        """The object that replaces the others."""
        return min(self.objects.values(), key=lambda kept: kept.age)


class Enrolment:
    """Which devices of a register are enrolled, kept up to date.

    Args:
        register: What is known.
        roots: Whose registrars count.
        revocations: What was taken away.

    Attributes:
        nodes: Every enrolment that stands.
        displaced: Enrolments that came after their ticket's last use.
        settled: Ids of the devices that the directory settles.
        closed: Object ids of the tickets that enrol nobody else.
        owners: Whom the directory says devices belong to, by device id, and by name where it
            names no device.
    """

    def __init__(self, register: Register, roots: Roots, revocations: Revocations) -> None:
        self._register = register
        self._roots = roots
        self._revocations = revocations
        self.nodes: dict[NodeId, Node] = {}
        self.displaced: set[NodeId] = set()
        self.settled: frozenset[bytes] = frozenset()
        self.closed: frozenset[bytes] = frozenset()
        self.owners: Mapping[bytes | str, str] = {}
        self._used: dict[bytes, int] = {}
        self._last: dict[bytes, Rank] = {}
        self._ends: dict[bytes, float | None] = {}
        self._queue: list[tuple[Rank, bytes]] = []

    # Questions.

    def of(self, device_id: bytes) -> list[Node]:
        """Return the enrolments of one device that stand, the best first."""
        found = (self.nodes.get(node) for node in self._register.nodes_of(device_id))
        return sorted((node for node in found if node), key=_standing)

    def uses_left(self, ticket: KeptTicket) -> int:
        """Return how many more devices the ticket can enrol."""
        return ticket.ticket.uses - self._used.get(ticket.id, 0)

    def exists_since(self, node: Node) -> float:
        """Return since when a node is surely there, which nobody could have claimed alone."""
        if not node.id.ticket:
            return node.newest.device.issued
        if node.settled:
            return self._register.tickets[node.id.ticket].ticket.issued
        return node.since

    def is_revoked(self, node: Node) -> bool:
        """Say whether the device itself is revoked."""
        return self._revocations.is_revoked(
            RevokeKind.DEVICE, node.id.device_id, self.exists_since(node)
        )

    def has_given_name(self, node: Node) -> bool:
        """Say whether a registrar gave the device its name, with its object or its ticket."""
        ticket = self._register.tickets.get(node.id.ticket)
        return ticket is None or ticket.ticket.name is not None

    def owners_of(self, node: Node) -> tuple[str, ...]:
        """Return every user that the device belongs to, by its object and by the directory.

        When one of them leaves, it is out: the policy may know it as the device of any of them.
        """
        device = node.newest.device
        named = self.owners.get(device.name) if self.has_given_name(node) else None
        owners = (device.owner, self.owners.get(device.device_id), named)
        return tuple(dict.fromkeys(owner for owner in owners if owner))

    def authority_end(self, signers: frozenset[bytes]) -> float | None:
        """Return from when these registrar keys have no say; None while they have.

        A root took the role from them, or so many of them are revoked that too few are left.
        """
        role = self._roots.newest.roles["registrar"]
        dead = sorted(
            cut
            for key in signers.intersection(role.keys)
            if (cut := self._registrar_cut(key)) is not None
        )
        spare = len(signers.intersection(role.keys)) - role.threshold
        broken = dead[spare] if 0 <= spare < len(dead) else None
        return earliest((self._roots.lapse("registrar", signers), broken))

    def _registrar_cut(self, key: bytes) -> float | None:
        since = self._roots.first_listed("registrar", key)
        return self._revocations.cut(RevokeKind.REGISTRAR, key, since)

    def ticket_end(self, ticket: KeptTicket) -> float | None:
        """Return from when the ticket enrols nobody because somebody took it away."""
        if ticket.id not in self._ends:
            since = ticket.ticket.issued
            names = (ticket.id, ticket.ticket.public_key)
            cuts = [self._revocations.cut(RevokeKind.TICKET, name, since) for name in names]
            self._ends[ticket.id] = earliest((*cuts, self.authority_end(ticket.signers)))
        return self._ends[ticket.id]

    # The search.

    def rebuild(self) -> None:
        """Work all of it out anew."""
        self.nodes, self.displaced = {}, set()
        self._used, self._last, self._ends = {}, {}, {}
        for node_id in self._register.nodes():
            if given := self._given_objects(node_id):
                self._enrol(node_id, _first_rank(node_id), given)
        self._follow()

    def _given_objects(self, node: NodeId) -> list[KeptDevice]:
        """Return the objects of an enrolment that needs no sponsor; none if it needs one.

        A registrar's word alone says which keys a device has, so it counts only while the
        registrar has a say. Under a ticket the device has signed its keys itself, and a directory
        that names it settles it whatever became of the ticket.
        """
        objects = self._register.objects_of(node)
        if node.ticket:
            return objects if node.device_id in self.settled else []
        return [kept for kept in objects if self.authority_end(kept.signers) is None]

    def _follow(self) -> None:
        while self._queue:
            rank, object_id = heappop(self._queue)
            self._offer(rank, self._register.devices[object_id])

    def _offer(self, rank: Rank, kept: KeptDevice) -> None:
        node = self.nodes.get(kept.node)
        if node is not None:
            node.objects[kept.id] = kept
        elif self.uses_left(self._register.tickets[kept.node.ticket]) > 0:
            self._enrol(kept.node, rank, [kept])
        else:
            self.displaced.add(kept.node)

    def _enrol(self, node_id: NodeId, rank: Rank, objects: Iterable[KeptDevice]) -> None:
        settled = node_id.device_id in self.settled
        node = Node(node_id, rank, settled, {kept.id: kept for kept in objects})
        self.nodes[node_id] = node
        if node_id.ticket:
            self._used[node_id.ticket] = self._used.get(node_id.ticket, 0) + 1
            self._last[node_id.ticket] = max(rank, self._last.get(node_id.ticket, rank))
        for said, kept in self._register.given_by(node_id.device_id):
            brought = self._brings(node, said, kept)
            if brought is not None:
                heappush(self._queue, (brought, kept.id))

    def _brings(self, node: Node, said: KeptSponsor, kept: KeptDevice) -> Rank | None:
        """Return the rank that this sponsor's word gives a device; None if it is worth nothing."""
        ticket = self._register.tickets[kept.node.ticket]
        own = kept.node.device_id == node.id.device_id or ticket.id == node.id.ticket
        since = max(float(said.sponsor.at), node.since)
        if own or ticket.id in self.closed or self._has_ended(node, said.sponsor.at):
            return None
        end, cut = self.ticket_end(ticket), self._sponsor_cut(node)
        if any(limit is not None and since >= limit for limit in (end, cut)):
            return None
        tier = node.rank[0] if cut is None else 1
        steps = node.rank[2] + 1 if (tier, since) == node.rank[:2] else 0
        return tier, since, steps, kept.node.device_id

    def _sponsor_cut(self, node: Node) -> float | None:
        """Return from when a sponsor has no say: it is revoked, or the user it belongs to."""
        of_device = self._revocations.cut(
            RevokeKind.DEVICE, node.id.device_id, self.exists_since(node)
        )
        owners = self.owners_of(node)
        return earliest(
            (of_device, *(self._revocations.cut(RevokeKind.USER, owner) for owner in owners))
        )

    def _has_ended(self, node: Node, at: int) -> bool:
        """Say whether all that the sponsor ever was had expired by then.

        When it begins does not matter: a newer object of it may begin after its first guest.
        """
        ends = [k.device.not_after for k in self._register.objects_of(node.id)]
        return all(end is not None and at >= end for end in ends)

    # One object more, without working all of it out anew.

    def add(self, kept: KeptDevice) -> None:
        """Take in a kept device object that is new or has a new sponsor.

        What can be is added in place: a mesh of ten thousand joins in one go. That is not so when
        it changes the place of a device that is in, or what one that is in vouches for.
        """
        if not self._add_in_place(kept):
            self.rebuild()

    def _add_in_place(self, kept: KeptDevice) -> bool:
        if self._register.given_by(kept.node.device_id):
            return False
        node = self.nodes.get(kept.node)
        given = self._given_objects(kept.node)
        if given and node is None:
            if kept.node.ticket and self.uses_left(self._register.tickets[kept.node.ticket]) <= 0:
                return False
            self._enrol(kept.node, _first_rank(kept.node), given)
        elif given and node is not None:
            node.objects = {known.id: known for known in given}
        else:
            return self._add_sponsored(kept, node)
        return True

    def _add_sponsored(self, kept: KeptDevice, node: Node | None) -> bool:
        rank = self._best_rank(kept)
        if rank is None:
            return node is None
        if node is None:
            ticket = self._register.tickets[kept.node.ticket]
            in_place = self.uses_left(ticket) > 0 or rank > self._last[ticket.id]
        else:
            in_place = rank >= node.rank
        if in_place:
            self._offer(rank, kept)
        return in_place

    def _best_rank(self, kept: KeptDevice) -> Rank | None:
        ranks = (
            self._brings(node, said, kept)
            for said in kept.sponsors.values()
            for node in self.of(said.sponsor.sponsor)
        )
        return min((rank for rank in ranks if rank is not None), default=None)


def _first_rank(node: NodeId) -> Rank:
    return 0, 0.0, 0, node.device_id


def _standing(node: Node) -> tuple[bool, bool, Rank, bytes]:
    """Order the enrolments of one device: settled ones first, then a registrar's, then by rank."""
    return not node.settled, bool(node.id.ticket), node.rank, node.id.ticket
