"""One node's share of the policy: what each peer may open here, and what we may open there.

The answer per peer is a set of port ranges that do not overlap, each with the rules that grant
it, so that a kernel needs one lookup. A flow belongs to the most exact range that covers it: an
`any` range is there for what no other range names, and each other range also lists the rules
that grant anything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Final, TypeAlias, TypeVar

from crypto.clock import Interval
from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import Truth, Verdict, earliest
from policy.decide import Evaluator, Freshness, Moment, longest
from policy.facts import FactKind, Facts
from policy.model import ANY, Policy, PortRange, Reason, Rule, Selector, SelectorKind, Subject
from policy.selectors import Network

Judged = tuple[Rule, Verdict]
T = TypeVar("T")

_PERSONAL: Final = frozenset({SelectorKind.USER, SelectorKind.GROUP})


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
class SiteGrant:
    """Some ports that are open to, from or between networks behind gateways.

    Attributes:
        source: The network it comes from; None is the device itself.
        destination: The network it goes to; None is the device itself. Those of one peer and one
            source do not overlap.
        grant: The ports, rules and deadline.
    """

    source: Network | None
    destination: Network | None
    grant: Grant


@dataclass(frozen=True, slots=True)
class NodeGrants:
    """All that one node lets in and out.

    Attributes:
        inbound: By device id of the peer; a peer that may open nothing is missing.
        outbound: By device id of the peer; a peer we may open nothing to is missing.
        next_change: Reading of the clock's late end at which to evaluate again: something changes
            by itself, or leases are half used up. None: never.
        inbound_sites: What comes in from a peer of which an end is a network: one that the peer
            stands before, or one that this node does.
        outbound_sites: The same for what goes out to a peer.
    """

    inbound: Mapping[bytes, tuple[Grant, ...]]
    outbound: Mapping[bytes, tuple[Grant, ...]]
    next_change: float | None
    inbound_sites: Mapping[bytes, tuple[SiteGrant, ...]] = field(default_factory=dict)
    outbound_sites: Mapping[bytes, tuple[SiteGrant, ...]] = field(default_factory=dict)


class NodeRules:
    """The rules that concern one node, found once and asked about any peers.

    What is known of one peer touches its grants alone, so after an event ask about that peer. What
    is known of this node itself touches all.
    """

    def __init__(self, policy: Policy, directory: Directory, me: Subject) -> None:
        """Pick the rules; which selectors a device answers to hardly depends on time."""
        self._evaluator = Evaluator(policy, directory)
        self._me = me
        self._lease = policy.defaults.lease
        self._sites = self._evaluator.identities.sites_of(me)
        self._picked: tuple[frozenset[Selector], _Mine] | None = None

    def grants(self, peers: Iterable[Subject], moment: Moment) -> NodeGrants:
        """Give the grants between this node and some peers."""
        evaluator = self._evaluator
        mine = evaluator.party(self._me, moment)
        if evaluator.blocked(mine) is not None:
            return NodeGrants({}, {}, None)
        picked = self._pick(mine)
        writer = _Writer(self._lease, moment)
        inbound, outbound = {}, {}
        inbound_sites, outbound_sites = {}, {}
        for peer in peers:
            party = evaluator.party(peer, moment)
            if evaluator.blocked(party) is not None:
                continue
            rules = picked.inbound.rules(party)
            judged = [(rule, evaluator.judge(rule, party, mine, moment)) for rule in rules]
            inbound[peer.device_id] = writer.write(judged)
            rules = picked.outbound.rules(party)
            judged = [(rule, evaluator.judge(rule, mine, party, moment)) for rule in rules]
            outbound[peer.device_id] = writer.write(judged)
            sites = evaluator.identities.sites_of(peer)
            if sites or self._sites:
                crossing = _Crossing(evaluator, moment, writer)
                inbound_sites[peer.device_id] = crossing.between(
                    crossing.sources(sites, party), picked.destinations(mine), by_destination=False
                )
                outbound_sites[peer.device_id] = crossing.between(
                    crossing.destinations(sites, party), picked.sources(mine), by_destination=True
                )
        return NodeGrants(
            _some(inbound),
            _some(outbound),
            writer.next_change(),
            _some(inbound_sites),
            _some(outbound_sites),
        )

    def wanted(self, peer: Subject) -> frozenset[FactKind]:
        """Say which facts of a peer some rule of this node could look at.

        A node asks for no other: nobody's token goes where nothing depends on it.
        """
        moment = Moment(Interval(0, 0))
        evaluator = self._evaluator
        party = evaluator.party(peer, moment)
        picked = self._pick(evaluator.party(self._me, moment))
        rules = picked.inbound.rules(party)
        kinds = {kind for rule in rules for kind in needs(rule)}
        told = any(each.reason is Reason.NO_TOKEN for each in party.claims.values())
        personal = any(each.kind in _PERSONAL for each in picked.inbound.selectors)
        if (told and rules) or (peer.owner is None and personal):
            kinds.add(FactKind.LOGIN)
        return frozenset(kinds)

    def _pick(self, mine: Party) -> "_Mine":
        """Find the rules that name this node; again only if it answers to something else."""
        selectors = frozenset(mine.claims)
        if self._picked is None or self._picked[0] != selectors:
            self._picked = selectors, _Mine(self._evaluator, self._sites, selectors)
        return self._picked[1]


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

    @property
    def selectors(self) -> Iterable[Selector]:
        """The selectors by which the other end may be named."""
        return self._index.keys()

    def rules(self, other: Party) -> list[Rule]:
        """Give the rules that also match the other end, sorted by id."""
        index = self._index
        numbers = {number for each in other.claims if each in index for number in index[each]}
        return [self._rules[number] for number in sorted(numbers)]


End: TypeAlias = tuple[Network | None, Party]


class _Mine:
    """The rules of one node, for the device itself and for the networks it stands before."""

    def __init__(
        self, evaluator: Evaluator, sites: Sequence[str], selectors: frozenset[Selector]
    ) -> None:
        self._evaluator = evaluator
        self._sites = sites
        self.inbound = self._to(selectors)
        self.outbound = self._from(selectors)
        identities = evaluator.identities
        self._regions = {
            (site, region): self._to(frozenset(identities.site(site, region).claims))
            for site in sites
            for region in evaluator.regions(site)
        }
        self._networks = {
            site: self._from(frozenset(identities.site(site, None).claims)) for site in sites
        }

    def destinations(self, mine: Party) -> list[tuple[End, _Side]]:
        """Give the ends here that flows may come to, each with the rules for it."""
        site = self._evaluator.identities.site
        ends: list[tuple[End, _Side]] = [((None, mine), self.inbound)]
        for (name, region), side in self._regions.items():
            ends.append(((region, site(name, region, mine)), side))
        return ends

    def sources(self, mine: Party) -> list[tuple[End, _Side]]:
        """Give the ends here that flows may come from, each with the rules for it."""
        site = self._evaluator.identities.site
        ends: list[tuple[End, _Side]] = [((None, mine), self.outbound)]
        for name, side in self._networks.items():
            party = site(name, None, mine)
            subnets = self._evaluator.policy.sites[name].subnets
            ends += [((subnet, party), side) for subnet in subnets]
        return ends

    def _to(self, selectors: frozenset[Selector]) -> _Side:
        """Pick the rules with a destination among some selectors."""
        rules = self._evaluator.policy.rules
        return _Side(rule for rule in rules if not selectors.isdisjoint(rule.destinations))

    def _from(self, selectors: frozenset[Selector]) -> _Side:
        """Pick the rules with a source among some selectors."""
        rules = self._evaluator.policy.rules
        return _Side(
            (rule for rule in rules if not selectors.isdisjoint(rule.sources)), by_destination=True
        )


class _Crossing:
    """Judges flows of which an end is a network, between this node and one peer."""

    def __init__(self, evaluator: Evaluator, moment: Moment, writer: "_Writer") -> None:
        self._evaluator = evaluator
        self._moment = moment
        self._writer = writer

    def sources(self, sites: Iterable[str], gateway: Party) -> list[End]:
        """Give the ends at a peer that flows may come from."""
        ends: list[End] = [(None, gateway)]
        for name in sites:
            party = self._evaluator.identities.site(name, None, gateway)
            ends += [(subnet, party) for subnet in self._evaluator.policy.sites[name].subnets]
        return ends

    def destinations(self, sites: Iterable[str], gateway: Party) -> list[End]:
        """Give the ends at a peer that flows may go to."""
        site = self._evaluator.identities.site
        ends: list[End] = [(None, gateway)]
        for name in sites:
            regions = self._evaluator.regions(name)
            ends += [(region, site(name, region, gateway)) for region in regions]
        return ends

    def between(
        self, theirs: Sequence[End], mine: Sequence[tuple[End, _Side]], *, by_destination: bool
    ) -> tuple[SiteGrant, ...]:
        """Give the grants between each two ends of which not both are the devices themselves."""
        found: list[SiteGrant] = []
        for far, (near, side) in product(theirs, mine):
            if far[0] is None and near[0] is None:
                continue
            source, destination = (near, far) if by_destination else (far, near)
            if self._evaluator.blocked(source[1], destination[1]) is not None:
                continue
            judged = [
                (rule, self._evaluator.judge(rule, source[1], destination[1], self._moment))
                for rule in side.rules(far[1])
            ]
            found += [
                SiteGrant(source[0], destination[0], grant) for grant in self._writer.write(judged)
            ]
        return tuple(found)


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


def needs(rule: Rule) -> Iterator[FactKind]:
    """Give the facts about a source that a rule's own conditions look at."""
    if rule.mfa_max_age is not None:
        yield FactKind.LOGIN
    if rule.posture:
        yield FactKind.POSTURE
    if rule.where:
        yield FactKind.PLACE
    if rule.where or rule.via is not None:
        yield FactKind.PATH


def _some(grants: Mapping[bytes, tuple[T, ...]]) -> Mapping[bytes, tuple[T, ...]]:
    """Leave out the peers that are granted nothing."""
    return {device_id: each for device_id, each in grants.items() if each}
