"""Reading one table of a document: typed, and never stopping at the first problem.

A getter that finds something wrong reports it and gives None (or the default), so that the rest
is read too. `finish` reports the keys that nobody asked for.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from crypto.objects.fields import TIME_MAX
from policy.locate import Path
from policy.problems import Report
from policy.times import parse_duration

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    datetime: "a time",
}


class Table:
    """One table, its place in the document, and what is wrong with it."""

    def __init__(self, report: Report, path: Path, value: object, what: str) -> None:
        """Take the value at a path; `what` names it in messages, such as `rule "web"`."""
        self.report = report
        self.path = path
        self.what = what
        self._known: set[str] = set()
        self._value: Mapping[str, object] = {}
        if isinstance(value, dict):
            self._value = value
        else:
            self.problem(f"is {kind_name(value)} where a table is expected")

    def __contains__(self, key: str) -> bool:
        """Say whether a key is there, whatever its value."""
        return key in self._value

    def problem(self, message: str, *steps: str | int) -> None:
        """Report something about the table, or about what stands at further steps in it."""
        self.report.add((*self.path, *steps), f"{self.what} {message}")

    def names(self) -> Collection[str]:
        """Give the keys that are there."""
        return self._value.keys()

    def get(self, key: str, *, required: bool = False) -> object | None:
        """Give the value of a key as it stands, or None."""
        self._known.add(key)
        if required and key not in self._value:
            self.problem(f'has no "{key}"; add it')
        return self._value.get(key)

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Give a text."""
        value = self.get(key, required=required)
        if value is None or isinstance(value, str):
            return value
        self._expected(key, value, "a text in quotes")
        return None

    def flag(self, key: str) -> bool:
        """Give true or false, which is false if nothing is said."""
        value = self.get(key)
        if value is None or isinstance(value, bool):
            return value is True
        self._expected(key, value, "true or false")
        return False

    def texts(
        self, key: str, *, required: bool = False, limit: int | None = None
    ) -> Sequence[tuple[Path, str]]:
        """Give a list of texts, each with its path; a required one must not be empty."""
        value = self.get(key, required=required)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._expected(key, value, 'a list of texts, as ["one", "two"]')
            return ()
        if required and not value:
            self.problem(
                f'has an empty "{key}", so it can never match; write something in it', key
            )
        if limit is not None and len(value) > limit:
            self.problem(f'has {len(value)} entries in "{key}"; the most is {limit}', key)
        return tuple(self._items(key, value))

    def choice(self, key: str, kind: type[E], default: E) -> E:
        """Give one of the words of an enumeration."""
        text = self.text(key)
        words = [each.value for each in kind]
        if text is None:
            return default
        if text not in words:
            self.problem(f'has {key} = "{text}"; write one of {quoted(words)}', key)
            return default
        return kind(text)

    def time(self, key: str) -> int | None:
        """Give an instant in Unix seconds."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, datetime):
            self._expected(key, value, "a time with a zone, as 2026-12-01T00:00:00Z")
        elif value.tzinfo is None:
            self.problem(f'has a "{key}" without a zone; add Z for UTC, or an offset', key)
        elif value.microsecond:
            self.problem(f'has a "{key}" with a fraction of a second; write whole seconds', key)
        elif not 0 <= value.timestamp() <= TIME_MAX:
            self.problem(f'has a "{key}" outside the years 1970 to 9999 of UTC', key)
        else:
            return int(value.timestamp())
        return None

    def number(self, key: str, *, required: bool = False) -> int | None:
        """Give a whole number."""
        value = self.get(key, required=required)
        if value is None or type(value) is int:
            return value
        self._expected(key, value, "a whole number")
        return None

    def duration(self, key: str, default: int, *, lo: int, hi: int, required: bool = False) -> int:
        """Give a length of time in seconds."""
        text = self.text(key, required=required)
        if text is None:
            return default
        try:
            seconds = parse_duration(text)
        except ValueError:
            self.problem(f'has {key} = "{text}"; write a number with s, m, h or d, as "15m"', key)
            return default
        if not lo <= seconds <= hi:
            self.problem(f'has {key} = "{text}"; it must be from {lo} to {hi} seconds', key)
            return default
        return seconds

    def parsed(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Give a text that must be there, as `parse` reads it; it raises ValueError if not."""
        text = self.text(key, required=True)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.problem(f"has {key}: {error}", key)
            return None

    def inner(self, key: str) -> "Table":
        """Give a table within this one."""
        return Table(self.report, (*self.path, key), self.get(key), f"{self.what}: {key}")

    def tables(self, key: str, what: str) -> Iterator["Table"]:
        """Give the tables of an array of tables."""
        value = self.get(key)
        if isinstance(value, dict):
            self.report.add((key,), f"[{key}] opens one {what} only once; write [[{key}]]")
        elif value is not None and not isinstance(value, list):
            self._expected(key, value, f"tables; write [[{key}]]")
        else:
            for number, item in enumerate(value or ()):
                yield Table(self.report, (*self.path, key, number), item, f"{what} {number + 1}")

    def named(self, key: str) -> Iterator[tuple[str, "Table"]]:
        """Give the tables of a table, by name: `[users.alice]`."""
        value = self.get(key)
        if value is None:
            return
        table = Table(self.report, (*self.path, key), value, f"[{key}]")
        for name in table.names():
            path = (*table.path, name)
            yield name, Table(self.report, path, table.get(name), f"[{key}.{name}]")

    def table(self, key: str) -> "Table":
        """Give a table, an empty one if it is not there."""
        value = self.get(key)
        return Table(self.report, (*self.path, key), {} if value is None else value, f"[{key}]")

    def finish(self, later: Collection[str] = ()) -> None:
        """Report the keys that nobody asked for; those of `later` belong to other versions."""
        for key in self._value:
            if key in self._known:
                continue
            if key in later:
                self.problem(
                    f'uses "{key}", which is not supported by this version; remove it', key
                )
                continue
            near = difflib.get_close_matches(key, sorted(self._known), n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {quoted(self._known)}"
            self.problem(f'has an unknown key "{key}"; {hint}', key)

    def _items(self, key: str, value: Sequence[object]) -> Iterator[tuple[Path, str]]:
        """Give the texts of a list, and report what is none or stands there twice."""
        seen: set[str] = set()
        for number, item in enumerate(value):
            if not isinstance(item, str):
                self.problem(
                    f'has {kind_name(item)} in "{key}"; write texts in quotes', key, number
                )
            elif item in seen:
                self.problem(f'has "{item}" twice in "{key}"; remove one', key, number)
            else:
                seen.add(item)
                yield (*self.path, key, number), item

    def _expected(self, key: str, value: object, expected: str) -> None:
        """Report a value of a wrong type."""
        self.problem(f'has {kind_name(value)} as "{key}"; it must be {expected}', key)


def kind_name(value: object) -> str:
    """Name the type of a TOML value for a person."""
    return _KINDS.get(type(value), "a date or time of day")


def quoted(words: Collection[str]) -> str:
    """List words for a message."""
    return ", ".join(f'"{word}"' for word in sorted(words))
