"""The compiled policy as CBOR: pieces of it, and how names become numbers.

Every name stands once, in a sorted table; everywhere else its place in the table stands for it.
Maps have integer keys, and a key that this version does not know is refused: to skip a condition
would open what it closes.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from crypto.codec import Value
from crypto.errors import ObjectError
from policy.facts import Supposed, Via
from policy.ports import PortRange
from policy.records import Audit, Block, Defaults, OnExpiry, Reason, Rule, Test
from policy.selectors import Network, Selector, SelectorKind

T = TypeVar("T")
Fields = Mapping[int, Value]

_RULE_KEYS: Final = frozenset(range(1, 13))
_TEST_KEYS: Final = frozenset(range(1, 14))


class NameTable:
    """The sorted table of all names of one policy."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take any names, in any order, with or without doubles."""
        self.names: tuple[str, ...] = tuple(sorted(set(names)))
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._selectors: dict[tuple[int, int], Selector] = {}

    def number(self, name: str) -> int:
        """Give the number that stands for a name."""
        return self._numbers[name]

    def name(self, value: Value) -> str:
        """Give the name that a number stands for.

        Raises:
            ObjectError: It is no number of the table.
        """
        number = read_int(value, "name number")
        if not 0 <= number < len(self.names):
            raise ObjectError(f"policy: name number {number} is not in its table")
        return self.names[number]

    def selector(self, kind: Value, value: Value) -> Selector:
        """Give the selector of a kind and a name by their numbers; the same one each time.

        Raises:
            ObjectError: One of the numbers stands for nothing.
        """
        key = read_int(kind, "selector kind"), read_int(value, "name number")
        found = self._selectors.get(key)
        if found is None:
            found = self._selectors[key] = Selector(_kind(key[0]), self.name(key[1]))
        return found


def read_int(value: Value, what: str) -> int:
    """Take an integer, or raise ObjectError."""
    if type(value) is not int:
        raise ObjectError(f"policy: {what} is not an integer")
    return value


def read_flag(value: Value, what: str) -> bool:
    """Take true or false, or raise ObjectError."""
    if not isinstance(value, bool):
        raise ObjectError(f"policy: {what} is neither true nor false")
    return value


def read_text(value: Value, what: str) -> str:
    """Take a text, or raise ObjectError."""
    if not isinstance(value, str):
        raise ObjectError(f"policy: {what} is not a text")
    return value


def read_list(value: Value, what: str) -> Sequence[Value]:
    """Take an array, or raise ObjectError."""
    if not isinstance(value, list):
        raise ObjectError(f"policy: {what} is not an array")
    return value


def read_texts(value: Value, what: str) -> tuple[str, ...]:
    """Take an array of texts, or raise ObjectError."""
    return tuple(read_text(each, what) for each in read_list(value, what))


def read_networks(value: Value) -> tuple[Network, ...]:
    """Take an array of networks in their texts, or raise ObjectError."""
    try:
        return tuple(ipaddress.ip_network(each) for each in read_texts(value, "networks"))
    except ValueError as error:
        raise ObjectError(f"policy: {error}") from None


def read_spans(value: Value, what: str) -> tuple[tuple[int, int], ...]:
    """Take sorted, disjoint stretches of time, or raise ObjectError."""
    pairs = [read_pair(each, what) for each in read_list(value, what)]
    spans = tuple((read_int(start, what), read_int(end, what)) for start, end in pairs)
    numbers = [number for span in spans for number in span]
    if any(one >= other for one, other in pairwise(numbers)):
        raise ObjectError(f"policy: {what} are not in order")
    return spans


def read_map(value: Value, what: str, keys: frozenset[int]) -> Fields:
    """Take a map that has no keys but these, or raise ObjectError."""
    if not isinstance(value, dict):
        raise ObjectError(f"policy: {what} is not a map")
    unknown = sorted(str(key) for key in value if key not in keys)
    if unknown:
        raise ObjectError(
            f"policy: {what} has field {unknown[0]}, which this version does not know",
            remedy="install a newer hedgerow on this device",
        )
    return value


def read_choice(value: Value, what: str, make: Callable[[str], T]) -> T:
    """Take one of the texts of an enumeration, or raise ObjectError."""
    text = read_text(value, what)
    try:
        return make(text)
    except ValueError:
        raise ObjectError(f"policy: {what} {text!r} is not known") from None


def selectors_value(selectors: Sequence[Selector], names: NameTable) -> Value:
    """Write selectors as [kind, name] pairs."""
    return [[int(each.kind), names.number(each.name)] for each in selectors]


def read_selectors(value: Value, names: NameTable) -> tuple[Selector, ...]:
    """Read what `selectors_value` writes."""
    found = []
    for item in read_list(value, "selectors"):
        kind, name = read_pair(item, "selector")
        found.append(names.selector(kind, name))
    return tuple(found)


def _kind(value: Value) -> SelectorKind:
    """Read the kind of a selector."""
    number = read_int(value, "selector kind")
    try:
        return SelectorKind(number)
    except ValueError:
        raise ObjectError(f"policy: selector kind {number} is not known") from None


def read_pair(value: Value, what: str) -> tuple[Value, Value]:
    """Take an array of two, or raise ObjectError."""
    items = read_list(value, what)
    if len(items) != 2:
        raise ObjectError(f"policy: {what} is not a pair")
    return items[0], items[1]


def ports_value(ports: Sequence[PortRange]) -> Value:
    """Write ranges as [proto, lo, hi], [proto] for no ports, or [] for anything."""
    return [
        [number for number in (each.proto, each.lo, each.hi) if number is not None]
        for each in ports
    ]


def read_ports(value: Value) -> tuple[PortRange, ...]:
    """Read what `ports_value` writes."""
    found = []
    for item in read_list(value, "ports"):
        numbers = [read_int(each, "port") for each in read_list(item, "port range")]
        try:
            found.append(PortRange(*numbers))
        except (TypeError, ValueError) as error:
            raise ObjectError(f"policy: port range {numbers}: {error}") from None
    return tuple(found)


def defaults_value(defaults: Defaults) -> Value:
    """Write the defaults, every one of them."""
    return {
        1: defaults.audit.value,
        2: defaults.session_max,
        3: defaults.lease,
        4: defaults.on_expiry.value,
    }


def read_defaults(value: Value) -> Defaults:
    """Read what `defaults_value` writes."""
    fields = read_map(value, "defaults", frozenset({1, 2, 3, 4}))
    return Defaults(
        read_choice(fields.get(1), "audit", Audit),
        read_int(fields.get(2), "session_max"),
        read_int(fields.get(3), "lease"),
        read_choice(fields.get(4), "on_expiry", OnExpiry),
    )


def rule_value(rule: Rule, names: NameTable) -> Value:
    """Write a rule; what it does not say has no key."""
    value: dict[int, Value] = {
        1: names.number(rule.id),
        2: selectors_value(rule.sources, names),
        3: selectors_value(rule.destinations, names),
        4: ports_value(rule.ports),
    }
    _put(value, 5, rule.not_before)
    _put(value, 6, rule.not_after)
    _put(value, 7, True if rule.survives_expiry else None)
    _put(value, 8, rule.mfa_max_age)
    for key, each in ((9, rule.posture), (10, rule.when), (11, rule.where)):
        _put(value, key, [names.number(name) for name in each] or None)
    _put(value, 12, None if rule.via is None else rule.via.value)
    return value


def read_rule(value: Value, names: NameTable) -> Rule:
    """Read what `rule_value` writes."""
    fields = read_map(value, "rule", _RULE_KEYS)
    return Rule(
        names.name(fields.get(1)),
        read_selectors(fields.get(2), names),
        read_selectors(fields.get(3), names),
        read_ports(fields.get(4)),
        _optional_int(fields, 5, "not_before"),
        _optional_int(fields, 6, "not_after"),
        survives_expiry=fields.get(7) is True,
        mfa_max_age=_optional_int(fields, 8, "mfa"),
        posture=_read_names(fields, 9, names),
        when=_read_names(fields, 10, names),
        where=_read_names(fields, 11, names),
        via=None if 12 not in fields else read_choice(fields[12], "via", Via),
    )


def _read_names(fields: Fields, key: int, names: NameTable) -> tuple[str, ...]:
    """Read names that stand for themselves, by their numbers."""
    if key not in fields:
        return ()
    return tuple(names.name(each) for each in read_list(fields[key], "names"))


def block_value(block: Block, names: NameTable) -> Value:
    """Write a block."""
    return [names.number(block.id), selectors_value(block.who, names)]


def read_block(value: Value, names: NameTable) -> Block:
    """Read what `block_value` writes."""
    block_id, who = read_pair(value, "block")
    return Block(names.name(block_id), read_selectors(who, names))


def check_value(test: Test, names: NameTable) -> Value:
    """Write a test; what it does not say has no key."""
    value: dict[int, Value] = {
        1: selectors_value([test.source], names),
        2: selectors_value([test.destination], names),
        3: ports_value(test.ports),
        4: test.allow,
    }
    _put(value, 5, test.at)
    _put(value, 6, None if test.rule is None else names.number(test.rule))
    _put(value, 7, None if test.reason is None else test.reason.value)
    supposed = test.supposed
    _put(value, 8, None if supposed.login else False)
    _put(value, 9, supposed.mfa_age)
    _put(value, 10, [names.number(name) for name in supposed.postures] or None)
    _put(value, 11, supposed.country)
    _put(value, 12, supposed.cidr)
    _put(value, 13, None if supposed.via is None else supposed.via.value)
    return value


def read_check(value: Value, names: NameTable) -> Test:
    """Read what `check_value` writes."""
    fields = read_map(value, "test", _TEST_KEYS)
    return Test(
        _single(read_selectors(fields.get(1), names)),
        _single(read_selectors(fields.get(2), names)),
        read_ports(fields.get(3)),
        read_flag(fields.get(4), "allow"),
        _optional_int(fields, 5, "at"),
        None if 6 not in fields else names.name(fields[6]),
        None if 7 not in fields else read_choice(fields[7], "reason", Reason),
        Supposed(
            login=8 not in fields or read_flag(fields[8], "login"),
            mfa_age=_optional_int(fields, 9, "mfa_age"),
            postures=_read_names(fields, 10, names),
            country=None if 11 not in fields else read_text(fields[11], "country"),
            cidr=None if 12 not in fields else read_text(fields[12], "cidr"),
            via=None if 13 not in fields else read_choice(fields[13], "via", Via),
        ),
    )


def _single(selectors: tuple[Selector, ...]) -> Selector:
    """Take the one selector of an end of a test."""
    if len(selectors) != 1:
        raise ObjectError("policy: an end of a test is not one selector")
    return selectors[0]


def _put(value: dict[int, Value], key: int, item: Value) -> None:
    """Write a field, unless there is nothing to say."""
    if item is not None:
        value[key] = item


def _optional_int(fields: Fields, key: int, what: str) -> int | None:
    """Read an integer that may be missing."""
    return None if key not in fields else read_int(fields[key], what)
