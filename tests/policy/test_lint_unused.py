"""Names that nothing uses, and rules that open everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.lint_unused import unused
from tests.policy.test_docs import blocks

DOCUMENT = """
[groups]
ops = []
all = ["group:ops"]
[tags.prod]
[tags.lab]
[services]
web = ["tcp/443"]
[resources.db]
host = "db1"
[postures.sound]
[windows]
office = {}
[places]
home = {}
[[rule]]
id = "r"
from = ["group:all"]
to = ["resource:db", "tag:prod"]
allow = ["service:web"]
posture = ["sound"]
when = ["office"]
where = ["home"]
"""


def doubts(text: str) -> list[tuple[int, str]]:
    """Give line and message of each doubt."""
    return [(each.line, each.message) for each in unused(text, "p.toml")]


def test_what_is_used_is_beyond_doubt() -> None:
    """A group in another group is used too."""
    assert doubts(DOCUMENT) == []
    assert doubts("") == []


@pytest.mark.parametrize(
    ("old", "line", "message"),
    [
        ('["group:ops"]', 3, "nothing uses group:ops; remove it, or name it"),
        ('["service:web"]', 8, "nothing uses service:web; remove it, or name it"),
        ('"resource:db", ', 9, "nothing uses resource:db; remove it, or name it"),
        ('["sound"]', 11, "no rule asks for posture sound; remove it"),
        ('["office"]', 13, "no rule asks for window office; remove it"),
        ('["home"]', 15, "no rule asks for place home; remove it"),
    ],
)
def test_what_nothing_uses_is_told(old: str, line: int, message: str) -> None:
    """The doubt stands where it is declared."""
    assert old in DOCUMENT
    new = "" if old.endswith(", ") else "[]"
    assert doubts(DOCUMENT.replace(old, new)) == [(line, message)]


def test_a_group_that_may_go_everywhere_is_told() -> None:
    """A rule from a group to every tag there is has no limits."""
    wide = DOCUMENT.replace('"tag:prod"]', '"tag:prod", "tag:lab"]')
    ((line, message),) = doubts(wide)
    assert line == 16
    assert message == (
        'rule "r": lets all of group:all reach every tag there is; name those it needs'
    )
    assert doubts(wide.replace('from = ["group:all"]', 'from = ["user:ann"]'))[0][0] == 4


def test_the_page_is_beyond_doubt(root: Path) -> None:
    """The document in the manual uses all that it declares."""
    text = (root / "docs" / "policy.md").read_text()
    assert doubts(blocks(text, "toml")) == []
