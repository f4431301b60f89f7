"""HuJSON: JSON with comments and trailing commas, and errors that name their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.importers.hujson import NESTING_MAX, HujsonError, Member, Node, Number, parse
from policy.limits import DOCUMENT_CHARACTERS_MAX
from tests.policy.importers.policies import as_hujson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)  # fmt: skip

MISTAKES = {
    "": "1:1: the end of the file where a value is expected",
    "\ufeff{}": r'1:1: "\ufeff" where a value is expected',
    "{": '1:2: the end of the file where a name in quotes or "}" is expected',
    "[1\n 2]": '2:2: "2" where "," or "]" is expected',
    "[1,,2]": '1:4: "," where a value is expected',
    "[,]": '1:2: "," where a value is expected',
    '{"a": 1,,}': '1:9: "," where a name in quotes or "}" is expected',
    '{"a" 1}': '1:6: "1" where ":" is expected',
    "{a: 1}": '1:2: "a" where a name in quotes or "}" is expected',
    '{"a": 1} x': '1:10: "x" where the end of the file is expected',
    "01": '1:2: "1" where the end of the file is expected',
    "tru": '1:1: "t" where a value is expected',
    "\n/* [": "2:1: this comment has no end",
    '["a\nb"]': "1:2: this text in quotes has no end on its line, or a control character in it",
    '"a\\"': "1:1: this text in quotes has no end on its line, or a control character in it",
    '"ab\\x"': "1:4: an escape that JSON does not know",
    '"\\ud83d"': "1:1: this text has half of a surrogate pair in it",
    '{"a": 1,\n "a": 2}': '2:2: "a" is in this object twice, first in line 1',
}


def plain(node: Node) -> Any:  # noqa: ANN401 - whatever the text says
    """Return a value without its places."""
    if isinstance(node.value, Number):
        return json.loads(node.value.text)
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {name: plain(member.node) for name, member in node.value.items()}
    return node.value


@given(VALUES)
def test_what_json_says(value: object) -> None:
    """JSON means the same, and so it does with comments and trailing commas added."""
    assert plain(parse(json.dumps(value), "f")) == value
    if isinstance(value, (dict, list)):
        assert plain(parse(json.dumps(value, ensure_ascii=False), "f")) == value


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from(["//", "/*", ",]"]))))
def test_comments_and_commas(value: dict[str, Any]) -> None:
    """Comments and trailing commas add nothing, and inside of quotes there are none."""
    assert plain(parse(as_hujson(value), "f")) == value


def test_places() -> None:
    """Values and names know their line and column, whatever ends the lines."""
    node = parse('// one\r\n{\r\n  "a": /* two */ [1, "ä", 2],\r\n}\r\n', "f")
    assert isinstance(node.value, dict)
    member = node.value["a"]
    assert (node.line, node.column) == (2, 1)
    assert isinstance(member, Member)
    assert (member.name, member.line, member.column) == ("a", 3, 3)
    items = member.node.value
    assert isinstance(items, tuple)
    assert [(item.line, item.column) for item in items] == [(3, 19), (3, 22), (3, 27)]


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_mistakes_name_their_place(text: str, message: str) -> None:
    """A mistake is told with file, line and column, and in words."""
    with pytest.raises(HujsonError) as caught:
        parse(text, "acl.hujson")
    assert str(caught.value) == f"acl.hujson:{message}"
    assert caught.value.remedy
    assert message.startswith(f"{caught.value.line}:{caught.value.column}:")


def test_depth_has_a_bound() -> None:
    """Lists as deep as allowed are read; one more is a mistake, not a crash."""
    assert plain(parse("[" * NESTING_MAX + "]" * NESTING_MAX, "f"))
    with pytest.raises(HujsonError, match=f":1:{NESTING_MAX + 1}: lists and objects are nested"):
        parse("[" * 100_000, "f")


def test_size_has_a_bound() -> None:
    """A text that could not become a document is refused unread."""
    with pytest.raises(HujsonError, match="characters; the most is"):
        parse(" " * (DOCUMENT_CHARACTERS_MAX + 1), "f")


@given(st.text(st.sampled_from('{}[]",:/*\\ntrue1-\n '), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands in a file, it is read or refused with its place."""
    try:
        parse(text, "f")
    except HujsonError as error:
        assert 1 <= error.line <= text.count("\n") + 1  # noqa: PT017 - both ways are right
        assert error.column >= 1  # noqa: PT017
