"""The compiled policy: what decode refuses, which is all that encode does not write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import CodecError, ObjectError, PeerError
from policy.model import ANY, Block, Defaults, Policy, Reason, Rule, Selector, SelectorKind, Test
from tests.policy.build import RANDOM, ports, rule, selectors

TEST = Test(
    Selector(SelectorKind.USER, "ann"),
    Selector(SelectorKind.TAG, "prod"),
    (ANY,),
    allow=False,
    at=5,
    rule="a",
    reason=Reason.BLOCK,
)
POLICY = Policy(
    "acme",
    rules=(
        rule("a", "group:ops", "tag:prod", "tcp/22 icmp", not_before=1, not_after=2),
        rule("b", "user:ann device:lap", "resource:db", "any", survives_expiry=True),
    ),
    blocks=(Block("x", selectors(["tag:lab"])),),
    resources={"db": "db1"},
    services={"ssh": ports("tcp/22")},
    tests=(TEST,),
)


def changed(change: Callable[[Any], object]) -> bytes:
    """Encode the policy with something in it changed."""
    value = codec.loads(POLICY.encode())
    change(value)
    return codec.dumps(value)


def put(*path: int, to: object) -> Callable[[Any], object]:
    """Return a change that sets what stands at a path."""

    def change(value: Any) -> None:  # noqa: ANN401 - decoded CBOR
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to

    return change


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (put(0, to=2), "a format this version does not know"),
    (put(99, to=1), "policy has field 99, which this version does not know"),
    (put(1, to=5), "mesh is not a text"),
    (put(1, to="Acme"), "can not be a name"),
    (put(2, to=[]), "defaults is not a map"),
    (put(2, 5, to=1), "defaults has field 5"),
    (put(2, 1, to="some"), "audit 'some' is not known"),
    (put(2, 3, to=0), "longer than nothing"),
    (put(2, 3, to="1"), "lease is not an integer"),
    (put(3, to=1), "names is not an array"),
    (put(3, 0, to=1), "name is not a text"),
    (put(4, 0, to=[1]), "services is not a pair"),
    (put(4, 0, 1, to=[[6, 0, 1]]), "is no range"),
    (put(4, 0, 1, to=[[6, 1, 1, 1]]), "port range"),
    (put(4, 0, 1, to=[[True, 1, 1]]), "port is not an integer"),
    (put(5, 0, 0, to=99), "name number 99 is not in its table"),
    (put(5, 0, 0, to=-1), "name number -1 is not in its table"),
    (put(6, 0, 13, to=1), "rule has field 13"),
    (put(6, 0, 2, to=[]), "its selectors must be some, sorted and different"),
    (put(6, 0, 2, to=[[5, 0]]), "can not stand here"),
    (put(6, 0, 2, to=[[7, 0]]), "selector kind 7 is not known"),
    (put(6, 0, 2, to=[[2]]), "selector is not a pair"),
    (put(6, 0, 4, to=[]), "its ports must be some, sorted and joined"),
    (put(6, 0, 4, to=[[6, 22, 22], [6, 23, 23]]), "its ports must be some, sorted and joined"),
    (put(6, 0, 5, to=2), "ends before it begins"),
    (put(6, 0, 5, to=-1), "is not a time between 1970 and 9999"),
    (put(6, 0, 6, to=2**63), "is not a time between 1970 and 9999"),
    (put(6, 0, 7, to=False), "not in the one order the compiler writes"),
    (put(6, 1, 1, to=0), "its ids must be sorted and different"),
    (put(7, 0, 1, to=[[2, 0], [2, 0]]), "its selectors must be some, sorted and different"),
    (put(7, 0, to=[0]), "block is not a pair"),
    (put(8, 0, 1, to=[[1, 0], [1, 1]]), "an end of a test is not one selector"),
    (put(8, 0, 7, to="because"), "reason 'because' is not known"),
    (put(8, 0, 3, to=[]), "test: its ports must be some, sorted and joined"),
    (put(8, 0, 4, to=1), "allow is neither true nor false"),
    (lambda value: value[6].reverse(), "its ids must be sorted and different"),
    (lambda value: value[3].reverse(), "not in the one order the compiler writes"),
    (lambda value: value[3].append("zz"), "not in the one order the compiler writes"),
    (lambda value: value[8].append(value[8][0]), "its tests must be different"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_encode_does_not_write_is_refused(
    change: Callable[[Any], object], words: str
) -> None:
    """A malformed part is an ObjectError that names what is wrong, and nothing is made of it."""
    with pytest.raises(ObjectError, match=words):
        Policy.decode(changed(change))


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xff", POLICY.encode()[:-1]])
def test_what_is_no_map_is_refused(data: bytes) -> None:
    """Neither is what is no CBOR of our profile."""
    with pytest.raises((CodecError, ObjectError)):
        Policy.decode(data)


def test_a_newer_format_says_what_to_do() -> None:
    """The remedy is a newer program."""
    with pytest.raises(ObjectError) as caught:
        Policy.decode(changed(put(99, to=1)))
    assert caught.value.remedy == "install a newer hedgerow on this device"


@given(st.integers(0, 10_000), st.integers(0, 255))
@RANDOM
def test_a_changed_byte_is_refused_or_another_policy(position: int, byte: int) -> None:
    """Damage makes an error of ours or a policy with exactly these bytes, never anything else."""
    data = bytearray(POLICY.encode())
    data[position % len(data)] = byte
    try:
        policy = Policy.decode(bytes(data))
    except PeerError:
        return
    assert policy.encode() == bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Rule("R!", POLICY.rules[0].sources, POLICY.rules[0].destinations, (ANY,)),
            "an id",
        ),
        (lambda: Block("x", ()), "its selectors must be some"),
        (lambda: Policy("acme", blocks=POLICY.blocks * 2), "sorted and different"),
        (lambda: Policy("acme", resources={"D B": "db1"}), "can not be a name"),
        (lambda: Policy("acme", resources={"db": "D B"}), "can not be a name"),
        (lambda: Defaults(session_max=0), "longer than nothing"),
    ],
)
def test_a_record_checks_itself(make: Callable[[], object], words: str) -> None:
    """A record that exists is valid."""
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": (rule("b", "user:ann", "resource:gone", "any"),), "tests": ()},
        {"tests": (replace(TEST, destination=Selector(SelectorKind.RESOURCE, "gone")),)},
    ],
)
def test_a_resource_that_is_not_there_is_refused(changes: dict[str, Any]) -> None:
    """Signed or not, a policy that speaks of nothing is none, and nobody has to judge it."""
    with pytest.raises(ValueError, match="gone is not in it"):
        replace(POLICY, **changes)
