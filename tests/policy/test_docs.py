"""The admin's page: what it shows is what the compiler and the linter say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy.checks import run_tests
from policy.document import DocumentError, parse
from policy.limits import (
    GROUPS_OF_USER_MAX,
    NODE_ELEMENTS_MAX,
    PARTS_BYTES_MAX,
    RULE_RANGES_MAX,
    RULE_SELECTORS_MAX,
)
from policy.model import Defaults, OnExpiry, Reason
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS
from tests.policy.build import HEADER, compiled, loaded

BLOCK = re.compile(r"^```([a-z ]+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """Give the text of the page."""
    return (root / "docs" / "policy.md").read_text()


def blocks(page: str, kind: str) -> str:
    """Give all blocks of a kind, put together."""
    return "".join(text for name, text in BLOCK.findall(page) if name == kind)


def test_the_page_is_one_document_without_doubts(page: str) -> None:
    """Its blocks compile together; the linter names what nodes can not establish, no more."""
    body = blocks(page, "toml").removeprefix(HEADER)
    told = [problem.message for problem in compiled(body).warnings]
    assert len(told) == 2
    assert all("nodes can not establish" in message for message in told)
    policy, directory = loaded(body)
    assert run_tests(policy, directory) == ()
    assert len(policy.tests) == 13


def test_the_defaults_shown_are_the_defaults(page: str) -> None:
    """Leaving `[defaults]` out means what the page shows."""
    policy, _ = loaded(blocks(page, "toml").removeprefix(HEADER))
    assert policy.defaults == Defaults()


def test_the_problems_shown_are_those_reported(page: str) -> None:
    """The answer under the broken document is the compiler's own."""
    with pytest.raises(DocumentError) as caught:
        parse(blocks(page, "toml broken"), "acme.toml")
    assert f"{caught.value}\n" == blocks(page, "text")


def test_every_word_of_the_language_is_explained(page: str) -> None:
    """Reasons, choices and selectors all stand on the page."""
    words = [reason.value for reason in Reason if reason is not Reason.ALLOWED]
    words += [choice.value for choice in OnExpiry]
    words += [f"{kind.word}:NAME" for kind in SOURCE_KINDS | DESTINATION_KINDS]
    assert [word for word in words if f"`{word}`" not in page] == []


def test_the_limits_shown_are_the_limits(page: str) -> None:
    """The last line of the page names them."""
    assert page.splitlines()[-1] == (
        f"Limits: {RULE_SELECTORS_MAX:,} selectors and {RULE_RANGES_MAX:,} port ranges in a rule, "
        f"{GROUPS_OF_USER_MAX} groups for a user, {NODE_ELEMENTS_MAX:,} firewall elements for a "
        f"node, {PARTS_BYTES_MAX // 2**20} MiB for all parts."
    )
