"""Which selectors a device answers to, and under which conditions.

A claim is there as soon as the identity matches, whatever its conditions say now: an expired
user's claim is False, but it is a claim. Rules ask what a claim says; blocks ask only whether it
is there, so nothing that is unknown about a user or has run out for him lifts a block. The same
holds for a group by a claim of the issuer: who might be in it, because no token says that he is
not, answers to it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crypto.clock import Interval
from crypto.objects import Directory
from policy.conditions import (
    ALWAYS,
    LOGIN_REMEDY,
    Condition,
    LoggedIn,
    NotAfter,
    Truth,
    Verdict,
    all_of,
    earliest,
)
from policy.facts import NOTHING_KNOWN, DeviceFacts, Facts, Login
from policy.model import Policy, Reason, Selector, SelectorKind, Subject
from policy.selectors import Network
from policy.sites import within

Claims = Mapping[Selector, Verdict]

NO_SESSION: Final = Verdict(
    Truth.UNKNOWN, None, Reason.NO_TOKEN, "somebody is logged in", LOGIN_REMEDY
)


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a flow, judged at one moment.

    Attributes:
        claims: What it answers to.
        validity: Whether the device itself is valid.
        session: Whether the person at it is logged in.
        facts: What is known of it, a login of somebody who does not count left out.
        lapses: When it may come to answer to something that is blocked; None: not by itself.
    """

    claims: Claims
    validity: Verdict = ALWAYS
    session: Verdict = NO_SESSION
    facts: DeviceFacts = NOTHING_KNOWN
    lapses: float | None = None


class Identities:
    """The directory, turned round: from a device or user to the selectors it answers to."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        """Index the directory, and the policy's resources, groups by claim, sites and blocks."""
        self._directory = directory
        self._session_seconds = policy.defaults.session_max
        self._groups = _turned(directory.groups.items())
        self._resources = _turned((name, (host,)) for name, host in policy.resources.items())
        self._pinned: dict[bytes, list[str]] = defaultdict(list)
        for name, device in directory.devices.items():
            if device.device_id is not None:
                self._pinned[device.device_id].append(name)
        self._users: dict[str, str] = {}
        for name, user in sorted(directory.users.items()):
            if user.identity is not None:
                self._users.setdefault(user.identity, name)
        self._claimed: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for group, claims in policy.claims.items():
            for claim in claims:
                self._claimed[claim.issuer][group].add(claim.value)
        self._blocked = frozenset(each for block in policy.blocks for each in block.who)
        self._gateways = _turned((name, site.gateways) for name, site in policy.sites.items())
        self._parts = _parts(policy)
        # What is asked for every device at every moment is made once: it depends on neither.
        self._conditions = {name: self._conditions_of(name) for name in directory.users}
        self._persons = {
            name: (
                Selector(SelectorKind.USER, name),
                *(Selector(SelectorKind.GROUP, group) for group in self._groups.get(name, ())),
            )
            for name in directory.users
        }
        self._tags = {
            tag: Selector(SelectorKind.TAG, tag)
            for tag in {each for device in directory.devices.values() for each in device.tags}
        }

    def party(self, subject: Subject, facts: Facts, now: Interval) -> Party:
        """Judge all that a device answers to."""
        return self.judge(subject, facts.of(subject.device_id), facts.revoked_users, now)

    def judge(
        self, subject: Subject, known: DeviceFacts, revoked: frozenset[str], now: Interval
    ) -> Party:
        """Judge all that a device answers to of which this is known."""
        claims: dict[Selector, Verdict] = {}
        for name, verdict in self._names(subject).items():
            claims[Selector(SelectorKind.DEVICE, name)] = verdict
            for resource in self._resources.get(name, ()):
                claims[Selector(SelectorKind.RESOURCE, resource)] = verdict
        for tag in subject.tags:
            claims[self._tags.get(tag) or Selector(SelectorKind.TAG, tag)] = ALWAYS
        validity = ALWAYS
        if subject.not_after is not None:
            end = NotAfter(subject.not_after, f"device {subject.name}")
            validity = end.judge(NOTHING_KNOWN, now)
        other = None if known.login is None else self._users.get(known.login.identity)
        name_of_user = other if subject.owner is None else subject.owner
        if name_of_user is None:
            return Party(claims, validity, facts=_without_login(known))
        lapses = []
        if other is not None and other != name_of_user:
            stranger = self.person(other, known.login, revoked, now)
            lapses.append(stranger.lapses)
            claims |= dict.fromkeys(stranger.claims, _somebody_else(name_of_user))
        person = self.person(name_of_user, known.login, revoked, now)
        return Party(
            claims | dict(person.claims),
            validity,
            person.session,
            known if person.facts.login is not None else _without_login(known),
            earliest([*lapses, person.lapses]),
        )

    def person(
        self, name: str, login: Login | None, revoked: frozenset[str], now: Interval
    ) -> Party:
        """Judge what a user answers to: the name, the groups that list it, those by claim."""
        user = self._directory.users.get(name)
        identity = None if user is None else user.identity
        if login is not None and login.identity != identity:
            login = None
        facts = DeviceFacts(login)
        session = self._session(name, revoked, facts, now)
        selectors = self._persons.get(name) or (Selector(SelectorKind.USER, name),)
        claims = dict.fromkeys(selectors, session)
        lapses: list[float | None] = []
        issuer = (identity or "").partition(":")[0]
        for group, values in self._claimed[issuer].items() if issuer in self._claimed else ():
            selector = Selector(SelectorKind.GROUP, group)
            if selector in claims:
                continue
            listed = None if login is None else login.groups
            if listed is not None and not listed.isdisjoint(values):
                claims[selector] = session
            elif listed is None or session.value is not Truth.TRUE:
                claims[selector] = all_of([session, _unlisted(group)])
            elif selector in self._blocked:
                lapses.append(session.valid_until)
        return Party(
            claims,
            session=NO_SESSION if identity is None else session,
            facts=facts,
            lapses=earliest(lapses),
        )

    def site(self, name: str, network: Network | None, gateway: Party | None = None) -> Party:
        """Judge an address, or a network of addresses that are alike, behind a gateway.

        Args:
            name: The site.
            network: None is an address that no rule or resource names.
            gateway: The device before it, where it matters which.
        """
        claims = {Selector(SelectorKind.SITE, name): ALWAYS}
        for part, selectors in self._parts.get(name, {}).items():
            if network is not None and within(network, part):
                claims |= dict.fromkeys(selectors, ALWAYS)
        if gateway is None:
            return Party(claims)
        facts = DeviceFacts(place=gateway.facts.place, path=gateway.facts.path)
        return Party(claims, gateway.validity, facts=facts, lapses=gateway.lapses)

    def parts(self, name: str) -> Iterable[Network]:
        """Give the networks of a site that rules, blocks and resources name."""
        return self._parts.get(name, {}).keys()

    def site_selectors(self, name: str) -> frozenset[Selector]:
        """Give all that some address of a site answers to."""
        parts = self._parts.get(name, {}).values()
        inner = [selector for selectors in parts for selector in selectors]
        return frozenset({Selector(SelectorKind.SITE, name), *inner})

    def sites_of(self, subject: Subject) -> Sequence[str]:
        """Give the sites that a device is a gateway of; a name it chose itself makes it none."""
        if not self._gateways:
            return ()
        sites = {
            site
            for name, verdict in self._names(subject).items()
            if verdict.value is Truth.TRUE
            for site in self._gateways.get(name, ())
        }
        return sorted(sites)

    def conditions(self, name: str) -> Sequence[Condition]:
        """Give what must be True for a user of the directory to count as himself."""
        return self._conditions[name]

    def _conditions_of(self, name: str) -> Sequence[Condition]:
        """Make what `conditions` gives."""
        user = self._directory.users[name]
        conditions: list[Condition] = []
        if user.not_after is not None:
            conditions.append(NotAfter(user.not_after, f"user {name}"))
        if user.identity is not None:
            conditions.append(LoggedIn(name, user.identity, self._session_seconds))
        return conditions

    def _names(self, subject: Subject) -> Mapping[str, Verdict]:
        """Give the names a device may be selected by; a pinned name belongs to its key alone."""
        names = dict.fromkeys(self._pinned.get(subject.device_id, ()), ALWAYS)
        entry = self._directory.devices.get(subject.name)
        if entry is None or entry.device_id is None:
            names[subject.name] = ALWAYS if subject.name_trusted else _self_chosen(subject.name)
        return names

    def _session(
        self, name: str, revoked: frozenset[str], facts: DeviceFacts, now: Interval
    ) -> Verdict:
        """Judge whether it is this user, and still one."""
        if name in revoked:
            return Verdict(
                Truth.FALSE,
                None,
                Reason.REVOKED,
                f"user {name} is not revoked",
                "ask an admin: a revocation is never taken back",
            )
        if name not in self._directory.users:
            return Verdict(
                Truth.FALSE,
                None,
                Reason.UNKNOWN,
                f"user {name} is in the directory",
                f"ask an admin to add [users.{name}]",
            )
        conditions = self._conditions[name]
        if len(conditions) == 1:
            return conditions[0].judge(facts, now)
        return all_of([each.judge(facts, now) for each in conditions])


def _without_login(facts: DeviceFacts) -> DeviceFacts:
    """Leave out a login of somebody who does not count here."""
    if facts.login is None:
        return facts
    return DeviceFacts(None, facts.posture, facts.place, facts.path)


def _somebody_else(owner: str) -> Verdict:
    """Judge a user who is logged in on a device of another."""
    return Verdict(
        Truth.FALSE,
        None,
        Reason.NO_TOKEN,
        f"user {owner} is logged in",
        f"have {owner}, whose device it is, run `hedgerow login` on it",
    )


def _unlisted(group: str) -> Verdict:
    """Judge a group by claim of which no token says whether it lists the user."""
    return Verdict(
        Truth.UNKNOWN,
        None,
        Reason.NO_TOKEN,
        f"a token says who is in group {group}",
        LOGIN_REMEDY,
    )


def _parts(policy: Policy) -> Mapping[str, Mapping[Network, Sequence[Selector]]]:
    """Give what each named network of each site answers to."""
    named = {each for rule in policy.rules for each in rule.destinations}
    named |= {each for block in policy.blocks for each in block.who}
    parts: dict[str, dict[Network, list[Selector]]] = defaultdict(lambda: defaultdict(list))
    for selector in sorted(named):
        if selector.kind is SelectorKind.SITE and selector.network is not None:
            parts[selector.base][selector.network].append(selector)
    for resource, host in sorted(policy.resources.items()):
        where = Selector(SelectorKind.SITE, host)
        if where.network is not None:
            found = parts[where.base][where.network]
            found.append(Selector(SelectorKind.RESOURCE, resource))
    return {site: dict(networks) for site, networks in parts.items()}


def _self_chosen(name: str) -> Verdict:
    """Judge a name that nobody but the device vouches for."""
    return Verdict(
        Truth.UNKNOWN,
        None,
        Reason.UNKNOWN,
        f"the name {name} was given by an admin",
        f"ask an admin to put the device's key under [devices.{name}]",
    )


def _turned(items: Iterable[tuple[str, Iterable[str]]]) -> Mapping[str, tuple[str, ...]]:
    """Turn a mapping of names to names round."""
    turned: dict[str, list[str]] = defaultdict(list)
    for name, members in sorted(items):
        for member in members:
            turned[member].append(name)
    return {member: tuple(names) for member, names in turned.items()}
