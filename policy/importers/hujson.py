"""HuJSON: JSON (RFC 8259) with comments and trailing commas, read so that places are known.

The dialect is that of github.com/tailscale/hujson: `//` and `/* */` may stand wherever a blank
may, and a comma may follow the last item of a list or object. Two things are stricter than Go's
decoder: a name given twice in one object is an error, not the later value, and half a surrogate
pair is one too.
"""

import bisect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from crypto.errors import LocalError
from policy.limits import DOCUMENT_CHARACTERS_MAX
from policy.problems import printable

NESTING_MAX: Final = 64

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|//[^\n]*|/\*.*?\*/)*+", re.DOTALL)
_STRING: Final = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*+"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"[A-Za-z]+")
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class HujsonError(LocalError):
    """A text is not HuJSON.

    Attributes:
        line: Counted from 1.
        column: In characters, counted from 1.
    """

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        super().__init__(
            f"{file}:{line}:{column}: {message}",
            remedy="put it right in the file, or export the file again",
        )
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written; nothing here calculates with one."""

    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value, and where it begins."""

    value: "Value"
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Member:
    """A name in an object, where it begins, and its value."""

    name: str
    line: int
    column: int
    node: Node


Value: TypeAlias = str | bool | Number | Sequence[Node] | Mapping[str, Member] | None


def parse(text: str, file: str) -> Node:
    """Read a text.

    Args:
        file: What errors call it.

    Raises:
        HujsonError: It is not HuJSON.
    """
    return _Reader(text, file).document()


class _Reader:
    """Walks through a text once."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._depth = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def document(self) -> Node:
        """Read the one value that a text holds."""
        if len(self._text) > DOCUMENT_CHARACTERS_MAX:
            self._fail(
                f"the file has {len(self._text)} characters; the most is {DOCUMENT_CHARACTERS_MAX}"
            )
        self._skip()
        node = self._value()
        self._skip()
        if self._at < len(self._text):
            self._expected("the end of the file")
        return node

    def _value(self) -> Node:
        line, column = self._place(self._at)
        return Node(self._content(), line, column)

    def _content(self) -> Value:
        match self._next():
            case "{":
                return self._nested(self._object)
            case "[":
                return self._nested(self._list)
            case '"':
                return self._string()
            case _:
                return self._scalar()

    def _nested(self, read: Callable[[], Value]) -> Value:
        if self._depth == NESTING_MAX:
            self._fail(f"lists and objects are nested more than {NESTING_MAX} deep")
        self._depth += 1
        value = read()
        self._depth -= 1
        return value

    def _object(self) -> Mapping[str, Member]:
        members: dict[str, Member] = {}
        for _ in self._items("}"):
            member = self._member()
            first = members.setdefault(member.name, member)
            if first is not member:
                self._fail_at(
                    member.line,
                    member.column,
                    f'"{member.name}" is in this object twice, first in line {first.line}',
                )
        return members

    def _member(self) -> Member:
        line, column = self._place(self._at)
        if self._next() != '"':
            self._expected('a name in quotes or "}"')
        name = self._string()
        self._skip()
        if not self._take(":"):
            self._expected('":"')
        self._skip()
        return Member(name, line, column, self._value())

    def _list(self) -> Sequence[Node]:
        return tuple(self._value() for _ in self._items("]"))

    def _items(self, end: str) -> Iterator[None]:
        """Stop at the beginning of each item, then step over it and what ends the last."""
        self._at += 1
        self._skip()
        while not self._take(end):
            yield
            self._skip()
            if self._take(","):
                self._skip()
            elif self._next() != end:
                self._expected(f'"," or "{end}"')

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            self._fail("this text in quotes has no end on its line, or a control character in it")
        try:
            text = str(json.loads(match[0]))
        except json.JSONDecodeError as error:
            self._at += error.pos
            self._fail("an escape that JSON does not know")
        if _SURROGATE.search(text):
            self._fail("this text has half of a surrogate pair in it")
        self._at = match.end()
        return text

    def _scalar(self) -> Number | bool | None:
        word = _WORD.match(self._text, self._at)
        if word is not None and word[0] in _WORDS:
            self._at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._expected("a value")
        self._at = number.end()
        return Number(number[0])

    def _skip(self) -> None:
        """Step over blanks and comments."""
        space = _SPACE.match(self._text, self._at)
        self._at = self._at if space is None else space.end()
        if self._text.startswith("/*", self._at):
            self._fail("this comment has no end")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, char: str) -> bool:
        taken = self._next() == char
        self._at += taken
        return taken

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect.bisect(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _expected(self, what: str) -> NoReturn:
        there = f'"{self._next()}"' if self._next() else "the end of the file"
        self._fail(f"{there} where {what} is expected")

    def _fail(self, message: str) -> NoReturn:
        self._fail_at(*self._place(self._at), message)

    def _fail_at(self, line: int, column: int, message: str) -> NoReturn:
        raise HujsonError(self._file, line, column, printable(message))
