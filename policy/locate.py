"""Where in a TOML text each value stands: a locator beside tomllib, which forgets the lines.

It reads only a text that tomllib has accepted, so it needs to follow the shape of the document and
not its rules. A path is what one would write in Python: `("rule", 0, "from", 1)`.
"""

import bisect
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
# The four kinds of strings; a multi-line one may end in up to two quotes more than its end mark.
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2}(?!"))'
    r"|'''.*?'''(?:'{0,2}(?!'))"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


class Locator:
    """The lines of one document."""

    def __init__(self, lines: Mapping[Path, int]) -> None:
        """Take the line of each path."""
        self.lines = lines

    def line(self, path: Sequence[str | int]) -> int:
        """Give the line of a path, or of the nearest thing around it that is there."""
        path = tuple(path)
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def locate(text: str) -> Locator:
    """Find the lines of all that stands in a text that tomllib accepts.

    Raises:
        RecursionError: Arrays are nested too deeply, as for tomllib.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return Locator(scanner.lines)


class _Scanner:
    """Walks through a valid document once."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self._text = text
        self._at = 0
        self._newlines = [number for number, char in enumerate(text) if char == "\n"]
        # How many tables each array of tables has so far.
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        """Read everything."""
        table: Path = ()
        while self._skip_blank():
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`, and give the path of the table it opens."""
        start = self._at
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        keys = self._key()
        self._at += 2 if many else 1
        path = self._resolve(keys[:-1])
        path = (*path, keys[-1])
        if many:
            self._tables[path] = self._tables.get(path, 0) + 1
        path = self._last(path)
        self._record(path, start)
        return path

    def _resolve(self, keys: Sequence[str]) -> Path:
        """Give the path of keys in a header, which mean the last table of an array of tables."""
        path: Path = ()
        for key in keys:
            path = self._last((*path, key))
        return path

    def _last(self, path: Path) -> Path:
        """Step into the last table, if the path is an array of tables."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        """Read `key = value`."""
        start = self._at
        path = (*table, *self._key())
        self._record(path, start)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Read a dotted key, and the spaces behind it."""
        keys = []
        while True:
            self._skip_blank()
            match = _BARE_KEY.match(self._text, self._at)
            if match is not None:
                keys.append(match.group())
                self._at = match.end()
            else:
                keys.append(self._quoted_key())
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _quoted_key(self) -> str:
        """Read a key in quotes, as tomllib reads it."""
        start = self._at
        self._string()
        value: str = tomllib.loads(f"key = {self._text[start : self._at]}")["key"]
        return value

    def _value(self, path: Path) -> None:
        """Read a value, and record where its parts stand."""
        self._skip_blank()
        self._record(path, self._at)
        char = self._text[self._at]
        if char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        elif char in "\"'":
            self._string()
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        """Read `[a, b]`."""
        self._at += 1
        number = 0
        while not self._ends("]"):
            self._value((*path, number))
            number += 1

    def _inline_table(self, path: Path) -> None:
        """Read `{ a = 1, b.c = 2 }`."""
        self._at += 1
        while not self._ends("}"):
            self._pair(path)

    def _ends(self, mark: str) -> bool:
        """Skip a comma; if the mark stands there, skip it and say so."""
        self._skip_blank()
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip_blank()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += 1
        return True

    def _string(self) -> None:
        self._take(_STRING)

    def _skip_blank(self) -> bool:
        """Skip spaces, lines and comments; say whether anything follows."""
        self._take(_BLANK)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> None:
        """Step over what the pattern matches; in a valid document it does."""
        match = pattern.match(self._text, self._at)
        self._at = len(self._text) if match is None else match.end()

    def _record(self, path: Path, position: int) -> None:
        """Note the line of a path, and of all around it that have none yet."""
        line = bisect.bisect_left(self._newlines, position) + 1
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                break
            self.lines[path[:length]] = line
