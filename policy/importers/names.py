"""Names of users, groups and tags that our documents take, in place of those of another product.

A name that is legal here stays. Of the others, capitals become small, and what is left that is not
legal becomes a hyphen. Two names never become one: what is taken gets a number.
"""

import re
from collections.abc import Mapping
from typing import Final

from policy.importers.findings import Findings
from policy.importers.who import Name
from policy.selectors import SelectorKind, is_name

CHARACTERS_MAX: Final = 63

_ILLEGAL: Final = re.compile(r"[^a-z0-9._-]")
_ILLEGAL_IN_USERS: Final = re.compile(r"[^a-z0-9._@+-]")
_FIRST: Final = re.compile(r"[a-z0-9_]")


def choose(names: Mapping[Name, int], findings: Findings) -> Mapping[Name, str]:
    """Give each name one that is legal here, and tell of each that changes.

    Args:
        names: With the line that has each first.
        findings: Where to tell.
    """
    chosen = {name: name.text for name in names if is_name(name.text, name.kind)}
    taken = {(name.kind, text) for name, text in chosen.items()}
    numbers: dict[tuple[SelectorKind, str], int] = {}
    for name in sorted(names.keys() - chosen.keys()):
        legal = text = _legal(name)
        while (name.kind, text) in taken:
            number = numbers[name.kind, legal] = numbers.get((name.kind, legal), 1) + 1
            text = _numbered(legal, number)
        taken.add((name.kind, text))
        chosen[name] = text
        findings.note(names[name], f'{name.kind.word} "{name.text}"', _why(text, legal))
    return chosen


def _legal(name: Name) -> str:
    """Make a name legal; two may come out the same."""
    illegal = _ILLEGAL_IN_USERS if name.kind is SelectorKind.USER else _ILLEGAL
    text = illegal.sub("-", name.text.lower())
    return (text if _FIRST.match(text) else f"_{text}")[:CHARACTERS_MAX]


def _numbered(text: str, number: int) -> str:
    end = f"-{number}"
    return text[: CHARACTERS_MAX - len(end)] + end


def _why(text: str, legal: str) -> str:
    if text == legal:
        return f"is called {text} here"
    return f"is called {text} here, since {legal} stands for another; join them if they are one"
