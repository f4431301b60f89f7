"""What a policy changes: who gains and who loses access, seen before anyone signs.

Compared is what the matrix shows, conditions and all, and not the text: moving, renaming or
splitting a rule changes nothing, and a block shows as what it takes away. No instant is asked
about: a grant with an end is compared by its end.

Some things change what a condition means and not its words: what a posture checks, when a window
is open, who a user is. They are told by name, and mark every grant that depends on them.
"""

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from crypto.clock import Interval
from crypto.objects import Directory
from policy.conditions import NotAfter, NotBefore
from policy.decide import Evaluator, Moment
from policy.ends import Ends
from policy.matrix import Cell, Entry, Term, default_columns, default_rows, matrix
from policy.model import Defaults, Policy, PortRange, Selector, SelectorKind, time_text
from policy.ports import describe, normalise
from policy.requirements import InWindow
from policy.selectors import site_selector

_ANY_TIME: Final = Interval(0, 0)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies that are compared, with the directory it came with."""

    policy: Policy
    directory: Directory


@dataclass(frozen=True, slots=True)
class Grant:
    """Ports that are open under the same conditions.

    Attributes:
        ports: Normalised.
        conditions: In words, sorted.
        survives: It stays when an expired bundle is restricted.
    """

    ports: tuple[PortRange, ...]
    conditions: tuple[str, ...] = ()
    survives: bool = True

    def __str__(self) -> str:
        words = describe(self.ports)
        if not self.conditions:
            return words
        after_expiry = ", even from an expired bundle" if self.survives else ""
        return f"{words} if {' and '.join(self.conditions)}{after_expiry}"

    def as_json(self) -> Mapping[str, object]:
        """Give it as plain values with stable keys."""
        return {
            "ports": describe(self.ports),
            "conditions": list(self.conditions),
            "survives_expiry": self.survives,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """Access of one name to another, before and after; empty is none.

    Attributes:
        source: Who.
        destination: What.
        before: What is granted until now.
        after: What is granted from then on.
    """

    source: Selector
    destination: Selector
    before: tuple[Grant, ...]
    after: tuple[Grant, ...]

    @property
    def kind(self) -> str:
        """The change in one word: `gains`, `loses` or `changes`."""
        if self.before and self.after:
            return "changes"
        return "loses" if self.before else "gains"

    def __str__(self) -> str:
        before, after = ("; ".join(map(str, each)) for each in (self.before, self.after))
        what = f"{before} becomes {after}" if self.kind == "changes" else before or after
        return f"{self.kind:<7} {self.source} to {self.destination}: {what}"

    def as_json(self) -> Mapping[str, object]:
        """Give it as plain values with stable keys."""
        return {
            "kind": self.kind,
            "from": str(self.source),
            "to": str(self.destination),
            "before": [grant.as_json() for grant in self.before],
            "after": [grant.as_json() for grant in self.after],
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two policies in who may reach what.

    Attributes:
        changes: In the order of names.
        redefined: What has the same name and another meaning, as `posture healthy`.
        columns: What was looked at as a destination.
    """

    changes: tuple[Change, ...]
    redefined: tuple[str, ...]
    columns: tuple[Selector, ...]

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        return bool(self.changes or self.redefined)

    def as_json(self) -> Mapping[str, object]:
        """Give it as plain values with stable keys."""
        return {
            "changed": bool(self),
            "changes": [change.as_json() for change in self.changes],
            "redefined": list(self.redefined),
        }


def compare(before: Side | None, after: Side) -> Difference:
    """Find every difference in access; without a `before`, all that `after` gives."""
    if before is None:
        before = Side(Policy(after.policy.mesh, defaults=after.policy.defaults), Directory())
    rows = sorted(_rows(before) | _rows(after))
    columns = tuple(sorted(set(_columns(before, after))))
    words = _Words(before, after)
    old, new = (_access(side, rows, columns, words) for side in (before, after))
    marked = words.redefined
    changes: dict[Pair, Change] = {}
    for row, column in sorted(old.keys() | new.keys()):
        was, then = (_grants(side.get((row, column), ())) for side in (old, new))
        if was != then or any(marked & set(grant.conditions) for grant in then):
            told = tuple(_marked(grant, marked) for grant in then)
            changes[row, column] = Change(row, column, was, told)
    hosted = _hosted(before, after)
    return Difference(
        tuple(each for each in changes.values() if not _told_by_resource(each, hosted, changes)),
        tuple(_redefined(before, after)),
        columns,
    )


def _told_by_resource(
    change: Change,
    hosted: Mapping[str, Sequence[Selector]],
    changes: "Mapping[Pair, Change]",
) -> bool:
    """Say whether the same is told of a resource that is at no other device."""
    if change.destination.kind is not SelectorKind.DEVICE:
        return False
    others = (
        changes.get((change.source, each)) for each in hosted.get(change.destination.name, ())
    )
    return any(
        other is not None and (other.before, other.after) == (change.before, change.after)
        for other in others
    )


def _hosted(before: Side, after: Side) -> Mapping[str, Sequence[Selector]]:
    """Give the resources of each device that are there on every side that has them."""
    hosts: dict[str, set[str]] = defaultdict(set)
    for side in (before, after):
        for resource, host in side.policy.resources.items():
            hosts[resource].add(host)
    found: dict[str, list[Selector]] = defaultdict(list)
    for resource, names in hosts.items():
        if len(names) == 1:
            found[min(names)].append(Selector(SelectorKind.RESOURCE, resource))
    return found


Pair = tuple[Selector, Selector]
Raw = Sequence[tuple[tuple[PortRange, ...], frozenset[str], bool]]


def _access(
    side: Side, rows: Iterable[Selector], columns: Iterable[Selector], words: "_Words"
) -> Mapping[Pair, Raw]:
    """Give what one side grants, before it is put in the one form."""
    table = matrix(
        side.policy,
        side.directory,
        _ANY_TIME,
        rows=[each for each in rows if _is_there(each, side)],
        columns=[each for each in columns if _is_there(each, side)],
    )
    return {
        pair: [
            (entry.ports, words.of(entry, cell), entry.survives or not entry.terms)
            for entry in cell.entries
        ]
        for pair, cell in table.cells.items()
        if cell.block is None or cell.lifted_by_login
    }


def _grants(raw: Raw) -> tuple[Grant, ...]:
    """Put what is granted in the one form: joined, and nothing that is granted more freely."""
    joined: dict[tuple[frozenset[str], bool], list[PortRange]] = defaultdict(list)
    for ports, conditions, survives in raw:
        joined[conditions, survives or not conditions] += ports
    found = []
    for (conditions, survives), opened in joined.items():
        freer = [
            each
            for (fewer, stays), others in joined.items()
            for each in normalise(others)
            if (fewer, stays) != (conditions, survives)
            and fewer <= conditions
            and (stays or not survives)
        ]
        left = [each for each in normalise(opened) if not any(o.contains(each) for o in freer)]
        if left:
            found.append(Grant(tuple(left), tuple(sorted(conditions)), survives))
    return tuple(sorted(found, key=lambda grant: (grant.conditions, grant.survives)))


def _marked(grant: Grant, words: frozenset[str]) -> Grant:
    """Mark the conditions whose meaning has changed."""
    conditions = tuple(
        f"{each} (which means something else now)" if each in words else each
        for each in grant.conditions
    )
    return Grant(grant.ports, conditions, grant.survives)


class _Words:
    """The words of conditions, and which of them mean two things on the two sides."""

    def __init__(self, before: Side, after: Side) -> None:
        """Take the two sides; their windows are compared where both know them."""
        self._shared = _overlap(before.policy.calendar, after.policy.calendar)
        self._sides: list[dict[str, Hashable]] = [{}, {}]
        for meanings, side in zip(self._sides, (before, after), strict=True):
            evaluator = Evaluator(side.policy, side.directory)
            for rule in side.policy.rules:
                for term in evaluator.conditions(rule):
                    meanings[_word(term, rule.id)] = self._meaning(term)
            for name in side.directory.users:
                for term in evaluator.identities.conditions(name):
                    meanings[_word(term, "")] = self._meaning(term)

    @property
    def redefined(self) -> frozenset[str]:
        """The words that mean two things."""
        before, after = self._sides
        return frozenset(
            word for word in before.keys() & after.keys() if before[word] != after[word]
        )

    def of(self, entry: Entry, cell: Cell) -> frozenset[str]:
        """Give the words of an entry's conditions."""
        words = {_word(term, entry.rule) for term in entry.terms}
        if cell.block is not None:
            words.add(f"a token keeps it out of block {cell.block}")
        return frozenset(words)

    def _meaning(self, term: Term) -> Hashable:
        """Give what a condition means, as text: a window, where both sides have worked it out."""
        if isinstance(term, InWindow) and self._shared:
            return repr((term.names, _overlap(term.intervals, self._shared)))
        return repr(term)


def _word(term: Term, rule: str) -> str:
    """Give the words of a condition; the id of its rule says nothing about access."""
    if isinstance(term, NotBefore):
        return f"it is {time_text(term.instant)} or later"
    if isinstance(term, NotAfter) and term.what == f"rule {rule}":
        return f"it is before {time_text(term.instant)}"
    return term.text


def _overlap(
    spans: Iterable[tuple[int, int]], others: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Give the stretches of time that are in both."""
    return [
        (max(start, begin), min(end, finish))
        for start, end in spans
        for begin, finish in others
        if max(start, begin) < min(end, finish)
    ]


def _is_there(selector: Selector, side: Side) -> bool:
    """Say whether a side can be asked about a name; of a device or tag it always can."""
    names: Mapping[SelectorKind, Container[str]] = {
        SelectorKind.USER: side.directory.users,
        SelectorKind.GROUP: side.directory.groups,
        SelectorKind.RESOURCE: side.policy.resources,
        SelectorKind.SITE: side.policy.sites,
    }
    return selector.kind not in names or selector.base in names[selector.kind]


def _rows(side: Side) -> set[Selector]:
    """Give whom to look at as a source: all who are there, and all devices that rules name."""
    named = (each for rule in side.policy.rules for each in rule.sources)
    devices = {each for each in named if each.kind is SelectorKind.DEVICE}
    return devices.union(default_rows(side.policy, side.directory))


def _columns(before: Side, after: Side) -> Iterator[Selector]:
    """Give what to look at as a destination.

    A device that answers to the same names on both sides and that no block cuts off is left out:
    what changes for it changes for one of its tags, or it is named itself.
    """
    looks = [_Look(side) for side in (before, after)]
    for side, look in zip((before, after), looks, strict=True):
        yield from default_columns(side.policy)
        yield from (Selector(SelectorKind.TAG, tag) for tag in side.directory.tags)
        for site in side.policy.sites:
            yield Selector(SelectorKind.SITE, site)
            yield from (site_selector(site, part) for part in look.parts(site))
        for name in {*side.directory.devices, *side.policy.resources.values()}:
            device = Selector(SelectorKind.DEVICE, name)
            if "/" not in name and len({each.claims(device) for each in looks}) > 1:
                yield device
    for name in before.directory.devices.keys() & after.directory.devices.keys():
        device = Selector(SelectorKind.DEVICE, name)
        if any(each.blocked(device) for each in looks):
            yield device


class _Look:
    """What the devices of one side answer to."""

    def __init__(self, side: Side) -> None:
        self._evaluator = Evaluator(side.policy, side.directory)
        self._ends = Ends(self._evaluator, side.directory)
        self._moment = Moment(_ANY_TIME)
        self.parts = self._evaluator.identities.parts

    def claims(self, device: Selector) -> frozenset[Selector]:
        """Give the names a device answers to."""
        return frozenset(self._ends.general(device, self._moment).claims)

    def blocked(self, device: Selector) -> bool:
        """Say whether a block cuts a device off."""
        return self._evaluator.blocked(self._ends.general(device, self._moment)) is not None


def _redefined(before: Side, after: Side) -> Iterator[str]:
    """Give what has the same name on both sides, and another meaning."""
    shared = _overlap(before.policy.calendar, after.policy.calendar)
    kinds: Mapping[str, Sequence[Mapping[str, object]]] = {
        "device": [
            {name: each.device_id for name, each in side.directory.devices.items()}
            for side in (before, after)
        ],
        "issuer": [before.policy.issuers, after.policy.issuers],
        "place": [before.policy.places, after.policy.places],
        "posture": [before.policy.postures, after.policy.postures],
        "site": [before.policy.sites, after.policy.sites],
        "user": [
            {name: each.identity for name, each in side.directory.users.items()}
            for side in (before, after)
        ],
        "window": [
            {
                name: _overlap(spans, shared) if shared else spans
                for name, spans in side.policy.windows.items()
            }
            for side in (before, after)
        ],
    }
    for kind, (old, new) in kinds.items():
        for name in sorted(old.keys() & new.keys()):
            if old[name] != new[name]:
                yield f"{kind} {name}"
    for default in fields(Defaults):
        old_value, new_value = (
            getattr(side.policy.defaults, default.name) for side in (before, after)
        )
        if old_value != new_value:
            yield f"default {default.name}"
