"""Compiling: one meaning has one encoding, on every machine (T56), within bounds."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Directory
from policy import compile as compiler
from policy.checks import run_tests
from policy.compile import compile_document
from policy.document import DocumentError, parse
from policy.explain import why
from policy.model import Policy
from policy.weigh import heaviest
from tests.policy.build import HEADER, HORIZON, RANDOM, compiled, files, loaded

DATA = Path(__file__).parent / "data"
SAMPLE = (DATA / "sample.toml").read_text()

Toml: TypeAlias = "str | bool | int | datetime | Sequence[Toml] | Mapping[str, Toml]"
Shuffle: TypeAlias = Callable[[Sequence[str]], Sequence[str]]


def write_value(value: Toml, shuffle: Shuffle) -> str:
    """Write a value inline, with the entries of lists and tables in any order."""
    if isinstance(value, Mapping):
        pairs = [f"{key} = {write_value(item, shuffle)}" for key, item in value.items()]
        return "{ " + ", ".join(shuffle(pairs)) + " }"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | str):
        return json.dumps(value)
    return "[" + ", ".join(shuffle([write_value(item, shuffle) for item in value])) + "]"


def write(data: Mapping[str, Toml], shuffle: Shuffle) -> str:
    """Write a document with keys, tables, rules and list entries in any order."""
    lines = [f"{key} = {write_value(value, shuffle)}" for key, value in data.items()]
    return "\n".join(shuffle(lines)) + "\n"


DOCUMENT = tomllib.loads(SAMPLE)
ORDER = parse(SAMPLE, "sample.toml", files=files)


@given(st.randoms(use_true_random=False))
@RANDOM
def test_t56_order_makes_no_difference(random: object) -> None:
    """However keys, rules, tests and lists are ordered, the same bytes come out (T56)."""

    def shuffle(items: Sequence[str]) -> Sequence[str]:
        shuffled = list(items)
        random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
        return shuffled

    text = write(DOCUMENT, shuffle)
    parts = compile_document(parse(text, "p", files=files), horizon=HORIZON)
    usual = compile_document(ORDER, horizon=HORIZON)
    assert (parts.policy, parts.directory) == (usual.policy, usual.directory)


def test_the_bytes_are_those_of_every_other_machine() -> None:
    """The sample's parts have the hashes that are kept beside it."""
    parts = compile_document(ORDER, horizon=HORIZON)
    kept = dict(line.split() for line in (DATA / "sample.sha256").read_text().splitlines())
    assert {name: sha256(part).hexdigest() for name, part in parts.parts.items()} == kept


def test_the_text_is_not_in_the_parts() -> None:
    """A comment changes the hash of the source, which stands beside the parts, and no part."""
    plain, commented = compiled(""), compiled("# why\n")
    assert (plain.policy, plain.directory) == (commented.policy, commented.directory)
    assert plain.source_sha256 == sha256(HEADER.encode()).digest()
    assert plain.source_sha256 != commented.source_sha256


RULE = '[[rule]]\nid = "r"\nfrom = ["device:a"]\nto = ["device:b"]\nallow = [{}]\n'
MEANINGS = [
    ('"tcp/22", "tcp/23"', '"tcp/22-23"'),
    ('"tcp/20-30", "tcp/25"', '"tcp/20-30"'),
    ('"any", "tcp/25"', '"any"'),
    ('"tcp"', '"tcp/1-65535"'),
]


@pytest.mark.parametrize(("one", "other"), MEANINGS)
def test_one_meaning_has_one_form(one: str, other: str) -> None:
    """What opens the same ports is the same policy."""
    assert compiled(RULE.format(one)).policy == compiled(RULE.format(other)).policy


def test_a_service_is_its_ports() -> None:
    """A rule holds the ports themselves, so a service may change its name."""
    service = '[services]\n{0} = ["tcp/5432"]\n' + RULE.replace("{}", '"service:{0}"')
    one, other = loaded(service.format("pg"))[0], loaded(service.format("db"))[0]
    assert one.rules == other.rules


def test_a_group_of_groups_is_its_users() -> None:
    """How a group is put together does not reach the nodes."""
    users = "[users.ann]\n[users.bob]\n[groups]\n"
    nested = compiled(users + 'in = ["ann"]\nout = ["bob", "group:in"]\n')
    flat = compiled(users + 'in = ["ann"]\nout = ["ann", "bob"]\n')
    assert nested.directory == flat.directory


def test_tests_keep_their_lines_and_stand_once() -> None:
    """Each test of the policy has the line of its first mention."""
    test = '[[test]]\nfrom = {{ device = "a" }}\nto = "b:tcp/{}"\nexpect = "deny"\n'
    body = RULE.format('"tcp/22"') + "".join(test.format(port) for port in (90, 80, 90))
    parts = compiled(body)
    policy = Policy.decode(parts.policy)
    lines = {
        test.ports[0].lo: line for test, line in zip(policy.tests, parts.test_lines, strict=True)
    }
    assert lines == {90: 8, 80: 12}


def test_closed_tickets_stand_in_the_directory() -> None:
    """They are given beside the document, in any order and number."""
    document = parse(HEADER, "p")
    ids = [bytes([n]) * 32 for n in (2, 1, 2)]
    directory = Directory.from_payload(compile_document(document, closed_tickets=ids).directory)
    assert directory.closed_tickets == (ids[1], ids[0])


def test_parts_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle has at most 8 MiB; the limit is lowered here to reach it."""
    size = len(compiled("").policy) + len(compiled("").directory)
    monkeypatch.setattr(compiler, "PARTS_BYTES_MAX", size)
    compiled("")
    monkeypatch.setattr(compiler, "PARTS_BYTES_MAX", size - 1)
    with pytest.raises(DocumentError, match=f"have {size} bytes; a bundle has at most {size - 1}"):
        compiled("")


WEIGHTY = "[tags.t]\n[devices.hub]\n" + "".join(
    f'[devices.d{number}]\ntags = ["t"]\n' for number in range(40)
)
TO_HUB = (
    '[[rule]]\nid = "hub"\nfrom = ["tag:t"]\nto = ["device:hub"]\nallow = ["tcp/1", "tcp/3"]\n'
)
FROM_HUB = '[[rule]]\nid = "back"\nfrom = ["device:hub"]\nto = ["device:d1"]\nallow = ["any"]\n'


def test_a_node_that_would_hold_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the device, the rule, and the line; the limit is lowered to reach it."""
    found = heaviest(*loaded(WEIGHTY + TO_HUB + FROM_HUB))
    assert found is not None
    assert (found.elements, found.device, found.rule) == (2 * (1 + 40) + 1 * (1 + 1), "hub", "hub")
    monkeypatch.setattr(compiler, "NODE_ELEMENTS_MAX", found.elements)
    compiled(WEIGHTY + TO_HUB + FROM_HUB)
    monkeypatch.setattr(compiler, "NODE_ELEMENTS_MAX", found.elements - 1)
    with pytest.raises(DocumentError) as caught:
        compiled(WEIGHTY + TO_HUB + FROM_HUB)
    (problem,) = caught.value.problems
    assert re.match(
        r'device hub would need 84 .* rule "hub"; a node holds at most 83', problem.message
    )
    assert problem.line == 85


def test_a_policy_that_concerns_no_device_weighs_nothing() -> None:
    """Without declared devices there is nothing to count."""
    assert heaviest(*loaded(TO_HUB.replace("tag:t", "device:a"))) is None


def test_the_sample_passes_its_own_tests() -> None:
    """What a node reads of the parts decides as the document says."""
    policy, directory = loaded(SAMPLE.partition(HEADER)[2])
    assert run_tests(policy, directory) == ()
    decision = why(
        policy, directory, "alice", "prod-db-1", proto=6, port=5433, now=Interval.exact(0)
    )
    assert decision.rule == "dba-postgres"
