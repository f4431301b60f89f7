"""Selectors: how a rule names who and what (`group:dba`, `resource:prod-db-1`)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

# One spelling for every name, so that a colon, a slash or a space always ends one.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,61}[A-Za-z0-9])?")
NAME_RULE: Final = "1 to 63 letters, digits and . _ @ + - , with a letter or digit at each end"


class SelectorKind(IntEnum):
    """What a selector names; the number stands in the compiled policy."""

    USER = 1
    GROUP = 2
    TAG = 3
    DEVICE = 4
    RESOURCE = 5


SOURCE_KINDS: Final = frozenset(SelectorKind) - {SelectorKind.RESOURCE}
DESTINATION_KINDS: Final = frozenset(
    {SelectorKind.RESOURCE, SelectorKind.TAG, SelectorKind.DEVICE}
)


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """One name of one kind."""

    kind: SelectorKind
    name: str

    def __str__(self) -> str:
        """Write it as a rule does: `group:dba`."""
        return f"{self.kind.name.lower()}:{self.name}"


def is_name(text: str) -> bool:
    """Say whether a text can be a name."""
    return _NAME.fullmatch(text) is not None


def parse_selector(text: str, kinds: Collection[SelectorKind]) -> Selector:
    """Read `kind:name`, of one of `kinds`.

    Raises:
        ValueError: It is no selector, or of another kind; the message says what to write.
    """
    prefix, colon, name = text.partition(":")
    choices = ", ".join(f"{kind.name.lower()}:NAME" for kind in sorted(kinds))
    known = {kind.name.lower(): kind for kind in SelectorKind}
    if not colon or prefix not in known:
        raise ValueError(f'"{text}" is not a selector; write one of {choices}')
    if known[prefix] not in kinds:
        raise ValueError(f'"{text}" can not stand here; write one of {choices}')
    if not is_name(name):
        raise ValueError(f'"{text}" has no usable name after the colon; a name is {NAME_RULE}')
    return Selector(known[prefix], name)
