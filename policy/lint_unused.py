"""Doubts about the text of a document: names that nothing uses, and rules that open all there is.

The compiled policy has forgotten these names, so this looks at the text, which must be right.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from policy.locate import Path, locate
from policy.problems import Problem

# Each section, with how rules, blocks, groups and tags name what is in it.
_SELECTED: Final = {"services": "service", "groups": "group", "resources": "resource"}
_CONDITIONS: Final = {"postures": "posture", "windows": "when", "places": "where"}
_USERS: Final = ("rule", "block", "groups", "tags")


def unused(text: str, file: str) -> Iterator[Problem]:
    """Give the names that are declared and not used, and the rules that open every tag.

    Args:
        text: A document that `policy.document.parse` accepts.
    """
    data, lines = tomllib.loads(text), locate(text)
    for path, message in _doubts(data):
        yield Problem(file, lines.line(path), message)


def _doubts(data: Mapping[str, object]) -> Iterator[tuple[Path, str]]:
    """Give doubts with the paths of what they are about."""
    used = {each for section in _USERS for each in _texts(data.get(section))}
    for section, word in _SELECTED.items():
        for name in _names(data, section):
            if f"{word}:{name}" not in used:
                yield (section, name), f"nothing uses {word}:{name}; remove it, or name it"
    rules = _tables(data.get("rule"))
    for section, key in _CONDITIONS.items():
        asked = {each for rule in rules for each in _texts(rule.get(key))}
        for name in _names(data, section):
            if name not in asked:
                yield (section, name), f"no rule asks for {section[:-1]} {name}; remove it"
    tags = {f"tag:{name}" for name in _names(data, "tags")}
    for number, rule in enumerate(rules):
        groups = [each for each in _texts(rule.get("from")) if each.startswith("group:")]
        if groups and len(tags) > 1 and tags <= set(_texts(rule.get("to"))):
            message = f"lets all of {groups[0]} reach every tag there is; name those it needs"
            yield ("rule", number), f'rule "{rule.get("id")}": {message}'


def _names(data: Mapping[str, object], section: str) -> Sequence[str]:
    """Give the names of a section."""
    value = data.get(section)
    return list(value) if isinstance(value, dict) else []


def _tables(value: object) -> Sequence[Mapping[str, object]]:
    """Give an array of tables."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> Iterator[str]:
    """Give every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
