"""Which selectors a device answers to, and under which conditions.

A claim is there as soon as the identity matches, whatever its conditions say now: an expired
user's claim is False, but it is a claim. Rules ask what a claim says; blocks ask only whether it
is there, so nothing that is unknown about a user or has run out for him lifts a block.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto.clock import Interval
from crypto.objects import Directory
from policy.conditions import ALWAYS, Condition, LoggedIn, NotAfter, Truth, Verdict, all_of
from policy.model import Facts, Policy, Reason, Selector, SelectorKind, Subject

Claims = Mapping[Selector, Verdict]


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a flow, judged at one moment.

    Attributes:
        claims: What it answers to.
        validity: Whether the device itself is valid.
    """

    claims: Claims
    validity: Verdict = ALWAYS


class Identities:
    """The directory, turned round: from a device or user to the selectors it answers to."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        """Index the directory and the policy's resources."""
        self._directory = directory
        self._groups = _turned(directory.groups.items())
        self._resources = _turned((name, (host,)) for name, host in policy.resources.items())
        self._pinned: dict[bytes, list[str]] = defaultdict(list)
        for name, device in directory.devices.items():
            if device.device_id is not None:
                self._pinned[device.device_id].append(name)

    def party(self, subject: Subject, facts: Facts, now: Interval) -> Party:
        """Judge all that a device answers to."""
        claims: dict[Selector, Verdict] = {}
        for name, verdict in self._names(subject).items():
            claims[Selector(SelectorKind.DEVICE, name)] = verdict
            for resource in self._resources.get(name, ()):
                claims[Selector(SelectorKind.RESOURCE, resource)] = verdict
        for tag in subject.tags:
            claims[Selector(SelectorKind.TAG, tag)] = ALWAYS
        if subject.owner is not None:
            claims |= self.user(subject.owner, facts, now)
        if subject.not_after is None:
            return Party(claims)
        validity = NotAfter(subject.not_after, f"device {subject.name}")
        return Party(claims, validity.judge(facts, now))

    def user(self, name: str, facts: Facts, now: Interval) -> Claims:
        """Judge what a user answers to: the name, and each group that lists it."""
        verdict = self._user(name, facts, now)
        groups = self._groups.get(name, ())
        return {Selector(SelectorKind.USER, name): verdict} | {
            Selector(SelectorKind.GROUP, group): verdict for group in groups
        }

    def conditions(self, name: str) -> Sequence[Condition]:
        """Give what must be True for a user of the directory to count as himself."""
        user = self._directory.users[name]
        conditions: list[Condition] = []
        if user.not_after is not None:
            conditions.append(NotAfter(user.not_after, f"user {name}"))
        if user.identity is not None:
            conditions.append(LoggedIn(name))
        return conditions

    def _names(self, subject: Subject) -> Mapping[str, Verdict]:
        """Give the names a device may be selected by; a pinned name belongs to its key alone."""
        names = dict.fromkeys(self._pinned.get(subject.device_id, ()), ALWAYS)
        entry = self._directory.devices.get(subject.name)
        if entry is None or entry.device_id is None:
            names[subject.name] = ALWAYS if subject.name_trusted else _self_chosen(subject.name)
        return names

    def _user(self, name: str, facts: Facts, now: Interval) -> Verdict:
        """Judge whether it is this user, and still one."""
        if name not in self._directory.users:
            return Verdict(
                Truth.FALSE,
                None,
                Reason.UNKNOWN,
                f"user {name} is in the directory",
                f"ask an admin to add [users.{name}]",
            )
        return all_of([each.judge(facts, now) for each in self.conditions(name)])


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
