"""The decision: some rule has all its conditions True, and no block matches.

Rules never subtract and blocks carry no ports, so the order of either never matters: a further
rule takes no access away, a further block gives none. Of several rules that grant, the one whose
conditions hold longest is named (ties: the lowest id).
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from crypto.clock import Interval
from crypto.objects import Directory
from policy.claims import Identities, Party
from policy.conditions import (
    ALWAYS,
    Condition,
    NotAfter,
    NotBefore,
    Truth,
    Verdict,
    all_of,
    any_of,
    earliest,
)
from policy.facts import NOTHING_KNOWN, DeviceFacts, Facts, Via
from policy.model import Block, OnExpiry, Policy, Reason, Rule, Selector, Subject
from policy.requirements import InPlace, InPosture, InWindow, OverPath, SeveralFactors
from policy.selectors import Network
from policy.sites import regions
from policy.windows import union

Flow: TypeAlias = tuple[int | None, int | None]
"""Protocol and destination port; both None is a flow that no rule can name."""

Freshness: TypeAlias = Literal["fresh", "stale", "expired"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about one flow.

    Attributes:
        allow: The flow may pass.
        rule: The rule that grants, the block that matched, or the rule that came nearest.
        reason: A word for the audit.
        condition: The condition that failed, in words; empty when allowed.
        remedy: What would help; empty when allowed.
        valid_until: Up to this reading of the clock's late end `allow` can not change by itself;
            None is for ever.
    """

    allow: bool
    rule: str | None
    reason: Reason
    condition: str = ""
    remedy: str = ""
    valid_until: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What is the same for all flows judged at once.

    Attributes:
        now: Wall time.
        facts: What is known of the devices beyond the directory.
        freshness: Age of the bundle; stale is an alarm and changes no decision.
        expires: When the bundle will expire, if grants are to end with it.
    """

    now: Interval
    facts: Facts = field(default_factory=Facts)
    freshness: Freshness = "fresh"
    expires: float | None = None


_NO_RULE: Final = Decision(
    allow=False,
    rule=None,
    reason=Reason.NO_RULE,
    condition="a rule grants it",
    remedy="ask an admin for a rule, or compare with `hedgerow policy matrix`",
)


class Evaluator:
    """One policy and one directory, indexed for many decisions."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        """Index rules by the selectors of their sources, and blocks by those they cut off."""
        self.policy = policy
        self.identities = Identities(policy, directory)
        self._rules = _index(rule.sources for rule in policy.rules)
        self._targets = _index(rule.destinations for rule in policy.rules)
        self._blocks: dict[Selector, list[Block]] = defaultdict(list)
        for block in policy.blocks:
            for selector in block.who:
                self._blocks[selector].append(block)
        self._conditions: dict[str, tuple[Condition, ...]] = {}
        self._regions: dict[str, Sequence[Network]] = {}
        self._named = self._blocks.keys() | {
            selector for rule in policy.rules for selector in (*rule.sources, *rule.destinations)
        }

    def party(self, subject: Subject, moment: Moment) -> Party:
        """Judge what one end answers to."""
        return self.identities.party(subject, moment.facts, moment.now)

    def regions(self, site: str) -> Sequence[Network]:
        """Give the networks into which rules and resources cut a site."""
        if site not in self._regions:
            subnets = self.policy.sites[site].subnets
            self._regions[site] = regions(subnets, self.identities.parts(site))
        return self._regions[site]

    def blocked(self, *parties: Party) -> tuple[Block, Selector] | None:
        """Give the block of lowest id that matches an end, and by what, or None."""
        if not self._blocks:
            return None
        matches = [
            (block.id, selector, block)
            for party in parties
            for selector in party.claims
            for block in self._blocks.get(selector, ())
        ]
        if not matches:
            return None
        _, selector, block = min(matches, key=lambda match: match[:2])
        return block, selector

    def from_source(self, source: Party) -> list[Rule]:
        """Give the rules whose selectors match a source, sorted by id."""
        return [self.policy.rules[number] for number in sorted(_found(self._rules, source))]

    def candidates(self, source: Party, destination: Party) -> list[Rule]:
        """Give the rules whose selectors match both ends, sorted by id, ports aside."""
        numbers = _found(self._rules, source) & _found(self._targets, destination)
        return [self.policy.rules[number] for number in sorted(numbers)]

    def conditions(self, rule: Rule) -> tuple[Condition, ...]:
        """Give a rule's own conditions, in the order in which they are named when they fail."""
        if rule.id not in self._conditions:
            self._conditions[rule.id] = tuple(_conditions(rule, self.policy))
        return self._conditions[rule.id]

    def judge(self, rule: Rule, source: Party, destination: Party, moment: Moment) -> Verdict:
        """Judge a rule that is a candidate for these two ends."""
        verdicts = [
            source.validity,
            destination.validity,
            _claimed(source, rule.sources),
            _claimed(destination, rule.destinations),
        ]
        conditions = self.conditions(rule)
        if conditions:
            facts = _pair_facts(source, destination)
            verdicts += [each.judge(facts, moment.now) for each in conditions]
        if rule.mfa_max_age is not None:
            verdicts.append(source.session)
        for party in (source, destination):
            if party.lapses is not None:
                verdicts.append(Verdict(Truth.TRUE, party.lapses, Reason.ALLOWED))
        if rule.id in moment.facts.revoked_rules:
            verdicts.insert(0, _RULE_REVOKED)
        return self._aged(rule, all_of(verdicts), moment)

    def judged(
        self, source: Party, destination: Party, flow: Flow, moment: Moment
    ) -> list[tuple[Rule, Verdict]]:
        """Judge all rules that match both ends and a flow, whatever the blocks say."""
        return [
            (rule, self.judge(rule, source, destination, moment))
            for rule in self.candidates(source, destination)
            if any(ports.covers(*flow) for ports in rule.ports)
        ]

    def decide(self, source: Party, destination: Party, flow: Flow, moment: Moment) -> Decision:
        """Decide about a flow of a protocol and port."""
        found = self.blocked(source, destination)
        if found is not None:
            return _blocked(*found)
        judged = self.judged(source, destination, flow, moment)
        granted = [each for each in judged if each[1].value is Truth.TRUE]
        return _allowed(granted) if granted else _denied(judged)

    def signature(self, party: Party) -> Hashable:
        """Give what rules and blocks see of a party: equal ones are decided about equally."""
        claims = frozenset(
            (selector, verdict.value, verdict.valid_until, verdict.reason)
            for selector, verdict in party.claims.items()
            if selector in self._named
        )
        return claims, party.validity, party.session, party.lapses

    def _aged(self, rule: Rule, verdict: Verdict, moment: Moment) -> Verdict:
        """Apply what is to happen when the bundle expires.

        A grant is static when nothing can end it by itself; `restrict` leaves those.
        """
        if verdict.value is not Truth.TRUE or not self._ends_with_bundle(rule, verdict):
            return verdict
        if moment.freshness == "expired":
            return _BUNDLE_EXPIRED
        if moment.expires is None:
            return verdict
        return all_of(
            [verdict, NotAfter(moment.expires, "the bundle").judge(NOTHING_KNOWN, moment.now)]
        )

    def _ends_with_bundle(self, rule: Rule, verdict: Verdict) -> bool:
        """Say whether a grant stops when the bundle expires."""
        on_expiry = self.policy.defaults.on_expiry
        if on_expiry is OnExpiry.RESTRICT:
            return verdict.valid_until is not None and not rule.survives_expiry
        return on_expiry is OnExpiry.DENY


_RULE_REVOKED: Final = Verdict(
    Truth.FALSE,
    None,
    Reason.REVOKED,
    "the rule's grants are not revoked",
    "ask an admin: a revocation is never taken back; another rule has to grant it",
)
_BUNDLE_EXPIRED: Final = Verdict(
    Truth.FALSE,
    None,
    Reason.EXPIRED,
    "the bundle has not expired",
    "ask an admin to sign and publish a new bundle",
)


def decide(  # noqa: PLR0913 - one keyword for each thing a decision depends on
    policy: Policy,
    directory: Directory,
    *,
    source: Subject,
    destination: Subject,
    proto: int | None,
    port: int | None,
    facts: Facts,
    now: Interval,
    freshness: Freshness = "fresh",
    expires: float | None = None,
) -> Decision:
    """Decide whether `source` may open a flow to `destination`.

    Args:
        proto: IANA protocol number; None is one that no rule can name.
        port: Destination port, or None where the protocol has none.
        facts: What is known of the devices beyond the directory.
        now: Wall time.
        freshness: Age of the bundle.
        expires: When the bundle will expire; see `Moment`.
    """
    evaluator = Evaluator(policy, directory)
    moment = Moment(now, facts, freshness, expires)
    return evaluator.decide(
        evaluator.party(source, moment),
        evaluator.party(destination, moment),
        (proto, port),
        moment,
    )


Index: TypeAlias = Mapping[Selector, frozenset[int]]


def _index(ends: Iterable[Sequence[Selector]]) -> Index:
    """Give the places of the rules that name a selector at one end."""
    index: dict[Selector, set[int]] = defaultdict(set)
    for number, selectors in enumerate(ends):
        for selector in selectors:
            index[selector].add(number)
    return {selector: frozenset(numbers) for selector, numbers in index.items()}


def _found(index: Index, party: Party) -> frozenset[int]:
    """Give the places of the rules that name anything a party answers to."""
    return frozenset().union(*(index[each] for each in party.claims if each in index))


def _conditions(rule: Rule, policy: Policy) -> Iterator[Condition]:
    """Give a rule's own conditions."""
    if rule.not_before is not None:
        yield NotBefore(rule.not_before, f"rule {rule.id}")
    if rule.not_after is not None:
        yield NotAfter(rule.not_after, f"rule {rule.id}")
    if rule.when:
        spans = union(span for name in rule.when for span in policy.windows[name])
        yield InWindow(rule.when, spans, policy.calendar)
    if rule.mfa_max_age is not None:
        yield SeveralFactors(rule.mfa_max_age, policy.issuers)
    for name in rule.posture:
        yield InPosture(name, policy.postures[name])
    if rule.where:
        yield InPlace(rule.where, tuple(policy.places[name] for name in rule.where))
    if rule.via is not None:
        yield OverPath(rule.via)


def _claimed(party: Party, selectors: Sequence[Selector]) -> Verdict:
    """Judge whether a party answers to one of some selectors; it is known to claim one."""
    claims = party.claims
    verdicts = [claims[each] for each in selectors if each in claims]
    if ALWAYS in verdicts:
        return ALWAYS
    return verdicts[0] if len(verdicts) == 1 else any_of(verdicts)


def _pair_facts(source: Party, destination: Party) -> DeviceFacts:
    """Give the facts of a source; the path is that between the two ends, whichever enforces."""
    facts = source.facts
    path = destination.facts.path
    if facts.path is not Via.UNKNOWN or path is Via.UNKNOWN:
        return facts
    return DeviceFacts(facts.login, facts.posture, facts.place, path)


def longest(granted: Iterable[tuple[Rule, Verdict]]) -> tuple[Rule, Verdict]:
    """Give the rule that grants longest; ties: the lowest id."""
    return min(granted, key=lambda each: (-_until(each[1]), each[0].id))


def _until(verdict: Verdict) -> float:
    """Give until when, as a number that can be compared."""
    return math.inf if verdict.valid_until is None else verdict.valid_until


def _allowed(granted: Sequence[tuple[Rule, Verdict]]) -> Decision:
    """Name the rule that grants longest."""
    rule, verdict = longest(granted)
    return Decision(
        allow=True, rule=rule.id, reason=Reason.ALLOWED, valid_until=verdict.valid_until
    )


def _denied(judged: Sequence[tuple[Rule, Verdict]]) -> Decision:
    """Name the rule that came nearest: Unknown before False, sooner before later."""
    if not judged:
        return _NO_RULE
    rule, verdict = min(
        judged,
        key=lambda each: (each[1].value is not Truth.UNKNOWN, _until(each[1]), each[0].id),
    )
    return Decision(
        allow=False,
        rule=rule.id,
        reason=verdict.reason,
        condition=verdict.condition,
        remedy=verdict.remedy,
        valid_until=earliest(each[1].valid_until for each in judged),
    )


def _blocked(block: Block, selector: Selector) -> Decision:
    """Name the block."""
    return Decision(
        allow=False,
        rule=block.id,
        reason=Reason.BLOCK,
        condition=f"neither end is {selector}",
        remedy=f"ask an admin to lift the block {block.id}",
    )
