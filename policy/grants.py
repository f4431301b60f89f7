"""One node's share of the policy: what each peer may open here, and what we may open there.

The answer per peer is a set of port ranges that do not overlap, each with the rules that grant
it, so that a kernel needs one lookup. A flow belongs to the most exact range that covers it: an
`any` range is there for what no other range names, and each other range also lists the rules
that grant anything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crypto.clock import Interval
from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import Truth, Verdict, earliest
from policy.decide import Evaluator, Freshness, Moment, longest
from policy.model import ANY, Facts, Policy, PortRange, Rule, Selector, Subject

Judged = tuple[Rule, Verdict]


@dataclass(frozen=True, slots=True)
class Grant:
    """Some ports that are open from one device to another.

    Attributes:
        ports: The range.
        rules: Ids of all rules that grant it, sorted.
        until: Reading of the clock's late end at which it ends unless renewed; None: it stays.
        rule: The rule the audit names: the one that grants longest.
    """

    ports: PortRange
    rules: tuple[str, ...]
    until: float | None
    rule: str


@dataclass(frozen=True, slots=True)
class NodeGrants:
    """All that one node lets in and out.

    Attributes:
        inbound: By device id of the peer; a peer that may open nothing is missing.
        outbound: By device id of the peer; a peer we may open nothing to is missing.
        next_change: Reading of the clock's late end at which to evaluate again: something changes
            by itself, or leases are half used up. None: never.
    """

    inbound: Mapping[bytes, tuple[Grant, ...]]
    outbound: Mapping[bytes, tuple[Grant, ...]]
    next_change: float | None


class NodeRules:
    """The rules that concern one node, found once and asked about any peers."""

    def __init__(self, policy: Policy, directory: Directory, me: Subject) -> None:
        """Pick the rules; which selectors a device answers to does not depend on time."""
        self._evaluator = Evaluator(policy, directory)
        self._me = me
        self._lease = policy.defaults.lease
        mine = self._evaluator.party(me, Moment(Interval(0, 0))).claims.keys()
        self._inbound = _Side(
            rule for rule in policy.rules if not mine.isdisjoint(rule.destinations)
        )
        outbound = (rule for rule in policy.rules if not mine.isdisjoint(rule.sources))
        self._outbound = _Side(outbound, by_destination=True)

    def grants(self, peers: Iterable[Subject], moment: Moment) -> NodeGrants:
        """Give the grants between this node and some peers."""
        evaluator = self._evaluator
        mine = evaluator.party(self._me, moment)
        if evaluator.blocked(mine) is not None:
            return NodeGrants({}, {}, None)
        writer = _Writer(self._lease, moment)
        inbound, outbound = {}, {}
        for peer in peers:
            party = evaluator.party(peer, moment)
            if evaluator.blocked(party) is not None:
                continue
            rules = self._inbound.rules(party)
            judged = [(rule, evaluator.judge(rule, party, mine, moment)) for rule in rules]
            inbound[peer.device_id] = writer.write(judged)
            rules = self._outbound.rules(party)
            judged = [(rule, evaluator.judge(rule, mine, party, moment)) for rule in rules]
            outbound[peer.device_id] = writer.write(judged)
        return NodeGrants(_some(inbound), _some(outbound), writer.next_change())


def node_grants(
    policy: Policy,
    directory: Directory,
    *,
    me: Subject,
    peers: Sequence[Subject],
    facts: Facts,
    now: Interval,
    freshness: Freshness = "fresh",
    expires: float | None = None,
) -> NodeGrants:
    """Give the grants between one node and its peers, in both directions.

    To ask often about a few peers, keep a `NodeRules`.
    """
    moment = Moment(now, facts, freshness, expires)
    return NodeRules(policy, directory, me).grants(peers, moment)


class _Side:
    """The rules of one direction, found by the selectors of the other end."""

    def __init__(self, rules: Iterable[Rule], *, by_destination: bool = False) -> None:
        self._rules = tuple(rules)
        self._index: dict[Selector, list[int]] = defaultdict(list)
        for number, rule in enumerate(self._rules):
            for selector in rule.destinations if by_destination else rule.sources:
                self._index[selector].append(number)

    def rules(self, other: Party) -> list[Rule]:
        """Give the rules that also match the other end, sorted by id."""
        numbers = {number for each in other.claims for number in self._index.get(each, ())}
        return [self._rules[number] for number in sorted(numbers)]


class _Writer:
    """Turns judged rules into grants, and remembers when the next of them changes.

    Many peers are granted the same, so what was written once is found again.
    """

    def __init__(self, lease: int, moment: Moment) -> None:
        self._lease = lease
        self._now = moment.now.hi
        self._written: dict[tuple[Judged, ...], tuple[Grant, ...]] = {}
        self._changes: set[float] = set()

    def write(self, judged: Sequence[Judged]) -> tuple[Grant, ...]:
        """Write the grants of one peer in one direction."""
        self._changes.update(
            verdict.valid_until for _, verdict in judged if verdict.valid_until is not None
        )
        granted = tuple(each for each in judged if each[1].value is Truth.TRUE)
        if granted not in self._written:
            self._written[granted] = tuple(
                self._grant(ports, rules) for ports, rules in split(granted)
            )
        return self._written[granted]

    def next_change(self) -> float | None:
        """Give the earliest change of all that was written."""
        return earliest(self._changes)

    def _grant(self, ports: PortRange, granted: Sequence[Judged]) -> Grant:
        """Write one range; what can end by itself lives no longer than a lease at a time."""
        rule, verdict = longest(granted)
        until = verdict.valid_until
        if until is not None and until > self._now + self._lease:
            until = self._now + self._lease
            self._changes.add(self._now + self._lease / 2)
        return Grant(ports, tuple(sorted(each.id for each, _ in granted)), until, rule.id)


def split(granted: Sequence[Judged]) -> Iterator[tuple[PortRange, Sequence[Judged]]]:
    """Cut the ports of some rules into ranges over which the same rules grant.

    A rule for tcp/20-30 and one for tcp/25 make 20-24, 25 (both) and 26-30.
    """
    everywhere = [each for each in granted if ANY in each[0].ports]
    if everywhere:
        yield ANY, everywhere
    named: dict[int, list[tuple[PortRange, Judged]]] = defaultdict(list)
    for each in granted:
        for ports in each[0].ports:
            if ports.proto is not None:
                named[ports.proto].append((ports, each))
    for proto in sorted(named):
        for ports, rules in _cut(proto, named[proto]):
            yield ports, [*everywhere, *rules]


def _cut(
    proto: int, ranges: Sequence[tuple[PortRange, Judged]]
) -> Iterator[tuple[PortRange, Sequence[Judged]]]:
    """Cut the ranges of one protocol: sweep over the ports at which a range begins or ends."""
    begins: dict[int, list[Judged]] = defaultdict(list)
    ends: dict[int, list[Judged]] = defaultdict(list)
    portless = []
    for ports, each in ranges:
        if ports.lo is None or ports.hi is None:
            portless.append(each)
        else:
            begins[ports.lo].append(each)
            ends[ports.hi + 1].append(each)
    if portless:
        yield PortRange(proto), portless
    borders = sorted(begins.keys() | ends.keys())
    active: list[Judged] = []
    for lo, following in pairwise(borders):
        gone = ends[lo]
        active = [each for each in active if each not in gone] + begins[lo]
        if active:
            yield PortRange(proto, lo, following - 1), list(active)


def _some(grants: Mapping[bytes, tuple[Grant, ...]]) -> Mapping[bytes, tuple[Grant, ...]]:
    """Leave out the peers that are granted nothing."""
    return {device_id: each for device_id, each in grants.items() if each}
