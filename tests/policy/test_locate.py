"""The locator: the line of everything tomllib finds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from policy.locate import Path, locate
from tests.policy.build import RANDOM

TRICKY = '''\
plain = 1 # not [a.header]
[ table . "quoted.key" ]
dotted.'literal key'.bare = "# no comment ] }"
lines = [
    """two
lines with \\""" and ]""""", # five quotes end it
    \'\'\'raw
\\\'\'\',
    [1,
     { deep = 1979-05-27 07:32:00, more.deeper = [ true,
     ] }] ,
]
[[rule]]
id = "a"
[rule.sub]
x = -1_000.5e3

[[rule]]
id = "b"
[[rule.part]]
n = 1
[[rule.part]]
n = 2
[late.made]
'''
TRICKY_LINES: dict[Path, int] = {
    ("plain",): 1,
    ("table",): 2,
    ("table", "quoted.key"): 2,
    ("table", "quoted.key", "dotted", "literal key", "bare"): 3,
    ("table", "quoted.key", "lines", 0): 5,
    ("table", "quoted.key", "lines", 1): 7,
    ("table", "quoted.key", "lines", 2, 0): 9,
    ("table", "quoted.key", "lines", 2, 1, "deep"): 10,
    ("table", "quoted.key", "lines", 2, 1, "more", "deeper", 0): 10,
    ("rule",): 13,
    ("rule", 0): 13,
    ("rule", 0, "sub", "x"): 16,
    ("rule", 1): 18,
    ("rule", 1, "part", 0): 20,
    ("rule", 1, "part", 1, "n"): 23,
    ("late",): 24,
}


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Give the paths of everything in a decoded document."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from paths(item, (*path, number))


def test_a_tricky_document_has_every_line() -> None:
    """Strings, comments, dotted keys and arrays of tables do not mislead the locator."""
    locator = locate(TRICKY)
    assert {path: locator.line(path) for path in TRICKY_LINES} == TRICKY_LINES


def test_the_locator_finds_exactly_what_tomllib_finds() -> None:
    """Every path of the decoded document has a line of its own, and no other path has."""
    assert set(paths(tomllib.loads(TRICKY))) == set(locate(TRICKY).lines)


def test_windows_line_ends_count_once() -> None:
    """A document from another system has the lines its editor shows."""
    assert locate("a = 1\r\nb = 2\r\n").line(("b",)) == 2


def test_what_is_not_there_has_the_line_around_it() -> None:
    """A missing key is reported at its table, and a missing table at the top."""
    locator = locate("\n[users.ann]\n")
    assert locator.line(("users", "ann", "id")) == 2
    assert locator.line(("groups", "ops", 0)) == 1


BLANKS = st.sampled_from(["", " ", "\t"])
BREAKS = st.sampled_from(["", " ", "\n", "# [c]\n", "\n\n  "])
KEYS = st.sampled_from(["a", "b-1", '"q.u o\\"te"', "'l.[i]t'", "3"])
STRINGS = ['"a # ] } = \\" x"', "'b\\'", '"""m\n\\""" ""x"""""', "'''n\n'' ]'''''", '""', "''"]
SCALARS = st.sampled_from([*STRINGS, "1", "-2.5", "true", "1979-05-27T07:32:00Z", "07:32:00"])


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    """Return a strategy for values as they are written."""
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALARS)
    count = draw(st.integers(0, 3))
    if kind == "array":
        items = [
            draw(BREAKS) + draw(values(depth - 1)) + draw(BREAKS) + "," + draw(BREAKS)
            for _ in range(count)
        ]
        return f"[{draw(BREAKS)}{''.join(items)}]"
    pairs = [
        f"{draw(BLANKS)}k{number} . x{draw(BLANKS)}={draw(BLANKS)}{draw(values(depth - 1))}"
        for number in range(count)
    ]
    return "{" + ",".join(pairs) + draw(BLANKS) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return a strategy for documents of which every key is made once."""
    parts = []
    for number in range(draw(st.integers(0, 6))):
        header = draw(st.sampled_from(["", "[{}{}]", "[[{}]]"]))
        if "{}{}" in header:
            parts.append(f"[ t{number} . {draw(KEYS)} ]{draw(BLANKS)}# comment\n")
        elif header:
            parts.append(f"[[ many ]]\n[many.{draw(KEYS)}]\n")
        key = f"n{number}.{draw(KEYS)}{draw(BLANKS)}"
        parts.append(f"{draw(BREAKS)}{key}={draw(BLANKS)}{draw(values())}\n")
    return "".join(parts)


@given(documents())
@RANDOM
def test_any_document_is_followed_to_its_end(text: str) -> None:
    """What tomllib reads, the locator reads the same way, with lines that never run backwards."""
    locator = locate(text)
    assert set(paths(tomllib.loads(text))) == set(locator.lines)
    total = text.count("\n") + 1
    for path in locator.lines:
        assert 1 <= locator.line(path[:-1]) <= locator.line(path) <= total


@given(st.text(max_size=200) | st.text(alphabet="[]{}='\"#,.\\a1\n ", max_size=60))
@RANDOM
def test_no_text_that_tomllib_accepts_stops_the_locator(text: str) -> None:
    """Whatever tomllib accepts, the locator finds the same paths in it."""
    try:
        data = tomllib.loads(text)
    except ValueError:
        return
    assert set(paths(data)) == set(locate(text).lines)
