"""Selectors: how a rule names who and what (`group:dba`, `resource:prod-db-1`)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from crypto.objects.fields import LABEL, NAME, USER_NAME


class SelectorKind(IntEnum):
    """What a selector names; the number stands in the compiled policy."""

    USER = 1
    GROUP = 2
    TAG = 3
    DEVICE = 4
    RESOURCE = 5

    @property
    def word(self) -> str:
        """What stands before the colon."""
        return self.name.lower()


SOURCE_KINDS: Final = frozenset(SelectorKind) - {SelectorKind.RESOURCE}
DESTINATION_KINDS: Final = frozenset(
    {SelectorKind.RESOURCE, SelectorKind.TAG, SelectorKind.DEVICE}
)
# What the documents of later versions name, so that a reader learns that it is not a typing error.
LATER_KINDS: Final = frozenset({"site", "claim", "place", "posture", "window"})
_PATTERNS: Final = {
    SelectorKind.USER: (USER_NAME, "1 to 63 of a-z, 0-9, '.', '_', '-', '@' and '+'"),
    SelectorKind.DEVICE: (LABEL, "1 to 63 of a-z, 0-9 and '-'"),
}
_OTHER_PATTERN: Final = (NAME, "1 to 63 of a-z, 0-9, '.', '_' and '-'")


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """One name of one kind."""

    kind: SelectorKind
    name: str

    def __str__(self) -> str:
        """Write it as a rule does: `group:dba`."""
        return f"{self.kind.word}:{self.name}"


def is_name(text: str, kind: SelectorKind | None = None) -> bool:
    """Say whether a text can be a name of a kind, or the id of a rule, block or service."""
    pattern, _ = _pattern(kind)
    return pattern.fullmatch(text) is not None


def name_form(kind: SelectorKind | None = None) -> str:
    """Say what a name of a kind, or an id, looks like."""
    return _pattern(kind)[1]


def parse_selector(text: str, kinds: Collection[SelectorKind]) -> Selector:
    """Read `kind:name`, of one of `kinds`.

    Raises:
        ValueError: It is no selector, or of another kind; the message says what to write.
    """
    prefix, colon, name = text.partition(":")
    choices = ", ".join(f"{kind.word}:NAME" for kind in sorted(kinds))
    if colon and prefix in LATER_KINDS:
        raise ValueError(f'"{text}" is not supported by this version; write one of {choices}')
    kind = {kind.word: kind for kind in SelectorKind}.get(prefix)
    if text == "any":
        raise ValueError(f'"any" is everybody, and nothing here means that; write {choices}')
    if not colon or kind is None:
        raise ValueError(f'"{text}" is not a selector; write one of {choices}')
    if kind not in kinds:
        raise ValueError(f'"{text}" can not stand here; write one of {choices}')
    if not is_name(name, kind):
        raise ValueError(
            f'"{text}" has no {kind.word} name after the colon; use {name_form(kind)}'
        )
    return Selector(kind, name)


def _pattern(kind: SelectorKind | None) -> tuple[re.Pattern[str], str]:
    """Give the form of a name, for a machine and for a person."""
    return _OTHER_PATTERN if kind is None else _PATTERNS.get(kind, _OTHER_PATTERN)
