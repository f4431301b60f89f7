"""`hedgerow policy matrix`: by whom, and as a page."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from node.cli.policy.page import page
from tests.cli.commands import Run


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("people", {"user:alice"}),
        ("groups", {"group:dba"}),
        ("devices", {"device:laptop"}),
    ],
)
def test_rows_can_be_chosen(run: Run, policy: Path, by: str, rows: set[str]) -> None:
    """--by keeps the rows of one kind."""
    table = run("policy", "matrix", policy, "--json", "--by", by).json
    assert {cell["from"] for cell in table["cells"]} == rows


class _Tags(HTMLParser):
    """Collects the tags of a page and what its cells say."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and the names of its attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def read(html: str) -> _Tags:
    """Read a page as a browser does."""
    parser = _Tags()
    parser.feed(html)
    return parser


def test_the_page_shows_the_table(run: Run, policy: Path) -> None:
    """Rows, columns and ports are there, and the instant it speaks of."""
    done = run("policy", "matrix", policy, "--html", "--at", "2026-11-23T05:00:00Z")
    assert done.code == 0
    texts = read(done.out).texts
    assert {"user:alice", "resource:db", "tcp/5432"} <= set(texts)
    assert "Who may reach what in acme, 2026-11-23T05:00:00Z" in texts


def test_the_page_loads_nothing_and_runs_nothing(run: Run, policy: Path) -> None:
    """Its own policy allows the one style by its hash, and nothing else."""
    html = run("policy", "matrix", policy, "--html").out
    found = read(html)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "form", "a"}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert not found.attributes & {"src", "href", "style"}
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ) in html


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table><iframe>",
    "&lt;b&gt;",
    "'; --",
    "</style><script>",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str) -> None:
    """Wherever a name stands it is shown as it is, and makes no tag."""
    html = page(name, 0, ["from", name], [[name, name]])
    found = read(html)
    assert found.tags == read(page("m", 0, ["from", "c"], [["r", "x"]])).tags
    assert found.texts.count(name) == 3
    assert found.attributes == {
        "lang", "charset", "http-equiv", "content", "name", "scope",
    }  # fmt: skip


def test_an_empty_page_says_so(run: Run, tmp_path: Path) -> None:
    """A policy without rules makes a page that says that nobody may reach anything."""
    (tmp_path / "none.toml").write_text('schema = 1\nmesh = "acme"\n')
    assert (
        "<p>Nobody may reach anything.</p>" in run("policy", "matrix", "none.toml", "--html").out
    )


def test_one_format_at_a_time(run: Run, policy: Path) -> None:
    """Two formats are a usage error."""
    done = run("policy", "matrix", policy, "--html", "--csv")
    assert done.code == 2
    assert "Choose one of --csv, --html and --json." in done.err
