"""Postures: what a device must say of itself, as typed comparisons of named facts.

`FACT OPERATOR LITERAL`, where a fact is a dotted name and the literal's type says which type the
fact must have: `disk.encrypted == true`, `os.patch_age_days <= 30`, `os.version >= 13.2`,
`os.name in ["linux", "macos"]`. A fact that is missing or of another type is Unknown.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from crypto.codec import Value
from policy import wire
from policy.facts import FactValue
from policy.limits import AGE_SECONDS_MAX, POSTURE_CHECKS_MAX

Version: TypeAlias = tuple[int, ...]
Literal: TypeAlias = bool | int | str | Version

_NAME: Final = r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*"
_CHECK: Final = re.compile(rf"\s*({_NAME})\s*(==|!=|<=|>=|<|>|in\b)\s*(.*?)\s*")
_FACT: Final = re.compile(_NAME)
_TEXT: Final = re.compile(r'"([^"\\\x00-\x1f\x7f]{0,200})"')
_LITERAL: Final = re.compile(r'\s*("[^"]*"|[^\s,"]+)\s*')
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,7}")
_VERSION_FACT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_ORDERED: Final = frozenset({"<=", ">=", "<", ">"})
FORM: Final = (
    'write FACT, one of == != <= >= < > in, and true, false, a number, a version or "text", '
    'as "os.patch_age_days <= 30"'
)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        fact: Dotted name.
        comparison: Operator.
        literals: What it is compared with; several only for `in`; all of one type.
    """

    fact: str
    comparison: str
    literals: tuple[Literal, ...]

    def holds(self, facts: Mapping[str, FactValue]) -> bool | None:
        """Say whether it is so; None if the fact is missing or of a wrong type."""
        found = _typed(facts.get(self.fact), self.literals[0])
        if found is None:
            return None
        if self.comparison == "in":
            return found in self.literals
        return _COMPARE[self.comparison](found, self.literals[0])

    def __str__(self) -> str:
        """Write it in the one way."""
        texts = ", ".join(_literal_text(each) for each in self.literals)
        return f"{self.fact} {self.comparison} " + (
            f"[{texts}]" if self.comparison == "in" else texts
        )


@dataclass(frozen=True, slots=True)
class Posture:
    """What a device must say of itself, and how recently.

    Attributes:
        max_age: Of its report, in seconds; a report of exactly this age is young enough.
        checks: All must hold; sorted by their texts.
    """

    max_age: int
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        """Refuse none, disorder, and an age that can not be meant.

        Raises:
            ValueError: It can not be meant.
        """
        texts = [str(each) for each in self.checks]
        if texts != sorted(set(texts)) or not 0 < len(texts) <= POSTURE_CHECKS_MAX:
            raise ValueError(f"a posture has 1 to {POSTURE_CHECKS_MAX} checks, sorted, different")
        if not 0 < self.max_age <= AGE_SECONDS_MAX:
            raise ValueError("a posture's max_age is no length of time")


def parse_check(text: str) -> Check:
    """Read a comparison.

    Raises:
        ValueError: It is none; the message says what to write.
    """
    match = _CHECK.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no comparison; {FORM}')
    fact, comparison, rest = match.groups()
    literals = _literals(text, rest) if comparison == "in" else (_literal(text, rest),)
    if len({type(each) for each in literals}) != 1:
        raise ValueError(f'"{text}" mixes types; write values of one type')
    if comparison in _ORDERED and type(literals[0]) in {bool, str}:
        raise ValueError(f'"{text}" orders what has no order; write == or !=')
    return Check(fact, comparison, literals)


def is_fact(text: str) -> bool:
    """Say whether a text can be the name of a fact."""
    return _FACT.fullmatch(text) is not None


def posture_value(posture: Posture) -> Value:
    """Write a posture; each check as its one text."""
    return [posture.max_age, [str(each) for each in posture.checks]]


def read_posture(value: Value) -> Posture:
    """Read what `posture_value` writes."""
    max_age, checks = wire.read_pair(value, "posture")
    texts = wire.read_texts(checks, "checks")
    return Posture(wire.read_int(max_age, "max_age"), tuple(map(parse_check, texts)))


def satisfying(checks: Sequence[Check]) -> Mapping[str, FactValue] | None:
    """Give facts for which all checks hold, or None if there can be none."""
    found: dict[str, FactValue] = {}
    for fact in sorted({each.fact for each in checks}):
        mine = [each for each in checks if each.fact == fact]
        value = next((each for each in _candidates(mine) if _all_hold(mine, each)), None)
        if value is None:
            return None
        found[fact] = value
    return found


def _all_hold(checks: Sequence[Check], value: FactValue) -> bool:
    """Say whether a value passes all checks of one fact."""
    return all(each.holds({each.fact: value}) is True for each in checks)


def _candidates(checks: Sequence[Check]) -> Sequence[FactValue]:
    """Give values at and next to all borders: if any value passes, one of these does."""
    values: list[FactValue] = []
    for literal in (each for check in checks for each in check.literals):
        if isinstance(literal, bool):
            values += [literal, not literal]
        elif isinstance(literal, int):
            values += [literal, literal + 1, max(literal - 1, 0)]
        elif isinstance(literal, str):
            values += [literal, f"{literal}-"]
        else:
            lower = (*literal[:-1], literal[-1] - 1) if literal and literal[-1] else ()
            values += [_version_text(each) for each in (literal, (*literal, 0, 1), lower)]
            values += [_version_text((*lower, 999_999_999))]
    return values


def _typed(value: FactValue | None, literal: Literal) -> Literal | None:
    """Give a fact's value as the literal's type, or None; counts are never negative."""
    if isinstance(literal, tuple):
        if type(value) is not str or _VERSION_FACT.fullmatch(value) is None:
            return None
        return _version(value)
    if type(value) is not type(literal) or (type(value) is int and value < 0):
        return None
    return value


def _version(text: str) -> Version:
    """Read a version; zeros at its end do not count, so 13.2 is 13.2.0."""
    numbers = [int(each) for each in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _version_text(version: Version) -> str:
    """Write a version so that it can be told from a number."""
    return ".".join(str(each) for each in (*version, 0, 0)[: max(2, len(version))])


def _literals(text: str, rest: str) -> tuple[Literal, ...]:
    """Read `[a, b]`, sorted."""
    if not (rest.startswith("[") and rest.endswith("]")):
        raise ValueError(f'"{text}" has no list after "in"; write [1, 2]')
    items = _items(text, rest[1:-1])
    literals = {_literal_text(each): each for each in (_literal(text, item) for item in items)}
    return tuple(literals[each] for each in sorted(literals))


def _items(text: str, rest: str) -> Sequence[str]:
    """Take a list apart; a comma may stand in a text."""
    items, at = [], 0
    while True:
        match = _LITERAL.match(rest, at)
        if match is None:
            raise ValueError(f'"{text}" has no list of values; {FORM}')
        items.append(match[1])
        at = match.end()
        if at == len(rest):
            return items
        if rest[at] != ",":
            raise ValueError(f'"{text}" has no comma between two values')
        at += 1


def _literal(text: str, rest: str) -> Literal:
    """Read one literal."""
    if rest in {"true", "false"}:
        return rest == "true"
    if _INTEGER.fullmatch(rest):
        return int(rest)
    if _VERSION.fullmatch(rest):
        return _version(rest)
    match = _TEXT.fullmatch(rest)
    if match is None:
        raise ValueError(f'"{text}" compares with {rest or "nothing"}; {FORM}')
    return match[1]


def _literal_text(literal: Literal) -> str:
    """Write a literal in the one way."""
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, str):
        return f'"{literal}"'
    return str(literal) if isinstance(literal, int) else _version_text(literal)
