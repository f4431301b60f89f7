"""The strict CBOR profile: one value, one encoding, and nothing else gets in."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import (
    BUILT_IN_TAGS,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    MIN_INTEGER,
    Value,
    dumps,
    loads,
)
from crypto.errors import CodecError, LocalError

INTEGERS = st.integers(MIN_INTEGER, MAX_INTEGER)
KEYS = st.integers(0, MAX_INTEGER)
ATOMS = st.none() | st.booleans() | INTEGERS | st.binary(max_size=40) | st.text(max_size=40)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.dictionaries(st.text(max_size=10), inner, max_size=5)
    ),
    max_leaves=20,
)


def appendix_a(vectors: Path) -> list[dict[str, Any]]:
    """Return the examples of RFC 8949 appendix A."""
    cases: list[dict[str, Any]] = json.loads((vectors / "rfc8949" / "appendix_a.json").read_text())
    return cases


def accepted(data: bytes) -> bool:
    """Say whether the profile takes these bytes."""
    try:
        loads(data)
    except CodecError:
        return False
    return True


def test_appendix_a_splits_into_36_and_46(vectors: Path) -> None:
    """Of the RFC's 82 examples the profile takes exactly 36."""
    cases = appendix_a(vectors)
    taken = [case for case in cases if accepted(bytes.fromhex(case["hex"]))]
    assert (len(cases), len(taken)) == (82, 36)


def test_appendix_a_reads_as_the_rfc_says(vectors: Path) -> None:
    """Every example taken that the table gives a value for decodes to that value."""
    for case in appendix_a(vectors):
        data = bytes.fromhex(case["hex"])
        if accepted(data) and "decoded" in case:
            value = loads(data)
            if isinstance(value, dict):
                value = {str(key): item for key, item in value.items()}
            assert value == case["decoded"], case["hex"]


def test_appendix_a_refusals_all_have_a_reason(vectors: Path) -> None:
    """Every example refused is a float, tag, simple value, indefinite length or big number."""
    for case in appendix_a(vectors):
        data = bytes.fromhex(case["hex"])
        if not accepted(data):
            major, info = data[0] >> 5, data[0] & 31
            simple = major == 7 and info not in {20, 21, 22}
            indefinite = info == 31 or 0xFF in data
            assert simple or major == 6 or indefinite, case["hex"]


@given(VALUES)
def test_what_is_encoded_decodes_to_itself(value: Value) -> None:
    """Decoding an encoded value gives the value, of the same types."""
    back = loads(dumps(value), max_bytes=10**6)
    assert back == value
    assert repr(back) == repr(_in_wire_order(value))


def _by_encoding(key: Value) -> tuple[int, bytes]:
    return len(dumps(key)), dumps(key)


def _in_wire_order(value: Value) -> Value:
    if isinstance(value, list):
        return [_in_wire_order(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_wire_order(value[key]) for key in sorted(value, key=_by_encoding)}
    return value


@given(st.binary(max_size=60))
def test_whatever_decodes_is_the_only_encoding(data: bytes) -> None:
    """Arbitrary bytes are refused, or are exactly how their value is encoded."""
    try:
        value = loads(data)
    except CodecError:
        return
    assert dumps(value) == data


@given(VALUES, st.data())
def test_a_changed_encoding_is_refused_or_another_value(value: Value, data: st.DataObject) -> None:
    """No single changed byte of an encoding gives the same value again."""
    encoded = bytearray(dumps(value))
    index = data.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= data.draw(st.integers(1, 255))
    try:
        changed = loads(bytes(encoded))
    except CodecError:
        return
    assert dumps(changed) != dumps(value)


@given(st.dictionaries(KEYS, st.none(), min_size=2, max_size=20))
def test_integer_keys_stand_in_the_order_of_rfc_8949(value: dict[int, None]) -> None:
    """The order written is the bytewise one of section 4.2.1 although cbor2 sorts by length."""
    assert _encoded_keys(value) == sorted(_encoded_keys(value))


@given(st.dictionaries(st.text(max_size=30), st.none(), min_size=2, max_size=20))
def test_text_keys_stand_in_the_order_of_rfc_8949(value: dict[str, None]) -> None:
    """For text keys too, shorter first and bytewise are one order."""
    assert _encoded_keys(value) == sorted(_encoded_keys(value))


def _encoded_keys(value: Value) -> list[bytes]:
    back = loads(dumps(value))
    assert isinstance(back, dict)
    return [dumps(key) for key in back]


def test_tuples_encode_as_arrays() -> None:
    """A tuple is written like a list, since frozen records hold tuples."""
    assert dumps((1, (2,))) == dumps([1, [2]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "premature end"),
        ("8201", "premature end"),
        ("0000", "1 bytes behind the value"),
        ("1817", "not the shortest form or not in order at byte 0"),
        ("190017", "not the shortest form or not in order at byte 0"),
        ("8118ff00", "1 bytes behind the value"),
        ("a202000100", "not the shortest form or not in order at byte 1"),
        ("a2616200616100", "not the shortest form or not in order at byte 2"),
        ("a2626161006162 00", "not the shortest form or not in order at byte 1"),
        ("a201000100", "Duplicate map key"),
        ("a2616100616100", "Duplicate map key"),
        ("9f00ff", "indefinite"),
        ("bf0000ff", "indefinite"),
        ("5f4100ff", "indefinite"),
        ("7f6161ff", "indefinite"),
        ("61ff", "text"),
        ("f7", "no type of the profile at $"),
        ("f0", "no type of the profile at $"),
        ("8100f7", "1 bytes behind"),
        ("f93c00", "float is no type of the profile at $"),
        ("fb3ff199999999999a", "float is no type of the profile at $"),
        ("f97e00", "float is no type of the profile at $"),
        ("820081f93c00", "float is no type of the profile at $[1][0]"),
        ("a10381f93c00", "float is no type of the profile at $.3[0]"),
        ("a1616ba10481f5f93c00", "behind the value"),
        ("a1616ba104f93c00", "float is no type of the profile at $.'k'.4"),
        ("a120 00", "a negative map key at $.-1"),
        ("a14161 00", "a map whose keys are not all integers or all text at $"),
        ("a2006161 616100", "a map whose keys are not all integers or all text at $"),
        ("a1f500", "a map whose keys are not all integers or all text at $"),
        ("a18000", "a map whose keys are not all integers or all text at $"),
        ("a1a000", "a map whose keys are not all integers or all text at $"),
        ("a1f600", "a map whose keys are not all integers or all text at $"),
        ("c000", "a tag"),
        ("c249010000000000000000", "a tag"),
        ("d9fffe00", "a tag"),
        ("d9d9f700", "a tag"),
        ("1c", "not CBOR of this profile"),
    ],
)
def test_what_is_refused_says_why_and_where(data: str, reason: str) -> None:
    """Each way out of the profile is refused with its own reason and the place."""
    with pytest.raises(CodecError, match=re.escape(reason)):
        loads(bytes.fromhex(data))


def test_every_tag_of_cbor2_is_refused() -> None:
    """The list of tags to refuse is complete: cbor2 hands every other one to the tag hook."""
    hooked: set[int] = set()

    def hook(tag: cbor2.CBORTag, _: bool) -> None:  # noqa: FBT001 - cbor2's signature
        hooked.add(tag.tag)

    for number in range(70_000):
        try:
            cbor2.loads(_tagged(number, b"\x00"), tag_hook=hook)
        except cbor2.CBORError:
            continue
    assert set(range(70_000)) - hooked == set(BUILT_IN_TAGS)


@pytest.mark.parametrize("tag", [*BUILT_IN_TAGS, 6, 24, 32, 257, 70_000])
@pytest.mark.parametrize("content", ["00", "40", "6161", "80", "a0", "820102", "8200f6"])
def test_no_tag_gets_in(tag: int, content: str) -> None:
    """A tag is refused whatever it stands before, known to cbor2 or not."""
    with pytest.raises(CodecError, match="a tag"):
        loads(_tagged(tag, bytes.fromhex(content)))


def _tagged(tag: int, content: bytes) -> bytes:
    header = bytearray(cbor2.dumps(tag))
    header[0] |= 0xC0
    return bytes(header) + content


def test_depth_is_bounded_where_it_says() -> None:
    """Sixteen nested arrays are fine, seventeen are not, on the way in and on the way out."""
    fine, deep = _nested(MAX_DEPTH), _nested(MAX_DEPTH + 1)
    assert dumps(loads(b"\x81" * (MAX_DEPTH - 1) + b"\x80")) == dumps(fine)
    with pytest.raises(CodecError, match="nesting deeper than 16"):
        loads(b"\x81" * MAX_DEPTH + b"\x80")
    with pytest.raises(CodecError, match="depth"):
        loads(b"\x81" * (MAX_DEPTH + 1) + b"\x80")
    with pytest.raises(LocalError, match="nesting deeper than 16"):
        dumps(deep)


def test_maps_count_as_depth_too() -> None:
    """Nested maps reach the same bound as nested arrays."""
    deep: Value = 0
    for _ in range(MAX_DEPTH + 1):
        deep = {0: deep}
    with pytest.raises(LocalError, match="nesting deeper than 16"):
        dumps(deep)


def _nested(depth: int) -> Value:
    value: Value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_a_value_that_holds_itself_is_refused() -> None:
    """A cyclic value ends at the depth bound instead of never."""
    cycle: list[Value] = []
    cycle.append(cycle)
    with pytest.raises(LocalError, match="nesting deeper"):
        dumps(cycle)


def test_length_is_bounded_where_it_says() -> None:
    """Input of just the allowed length is read, one byte more is not even parsed."""
    data = dumps(bytes(MAX_BYTES - 3))
    assert len(data) == MAX_BYTES
    assert loads(data) == bytes(MAX_BYTES - 3)
    with pytest.raises(CodecError, match=f"{MAX_BYTES + 1} bytes is longer than the {MAX_BYTES}"):
        loads(data + b"\x00")
    with pytest.raises(CodecError, match="2 bytes is longer than the 1 allowed"):
        loads(b"\x18\x18", max_bytes=1)


@pytest.mark.parametrize("number", [MIN_INTEGER, MAX_INTEGER])
def test_integers_reach_64_bits(number: int) -> None:
    """The largest and smallest integer of CBOR's own form are in the profile."""
    assert loads(dumps(number)) == number


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (MAX_INTEGER + 1, "an integer of more than 64 bits at $"),
        ([MIN_INTEGER - 1], "an integer of more than 64 bits at $[0]"),
        ({MAX_INTEGER + 1: 0}, "an integer of more than 64 bits at $"),
        ({"a": 1.5}, "float is no type of the profile at $.'a'"),
        ([1, {2}], "set is no type of the profile at $[1]"),
        ("\ud800", "text with a lone surrogate at $"),
        ({"\ud800": 0}, "text with a lone surrogate at $"),
        ({1: 0, "a": 0}, "keys are not all integers or all text at $"),
        ({-1: 0}, "a negative map key at $.-1"),
        ({True: 0}, "keys are not all integers or all text at $"),
        (bytearray(b"a"), "bytearray is no type of the profile at $"),
        (memoryview(b"a"), "memoryview is no type of the profile at $"),
    ],
)
def test_what_cannot_be_said_is_refused_on_the_way_out(value: object, place: str) -> None:
    """Encoding refuses a value outside the profile as our own mistake and names the place."""
    with pytest.raises(LocalError, match=re.escape(place)):
        dumps(value)  # type: ignore[arg-type] # the wrong types are the point


def test_a_subclass_is_not_its_base() -> None:
    """An integer of another class could encode as something else, so it is refused."""

    class Number(int):
        pass

    with pytest.raises(LocalError, match="Number is no type of the profile"):
        dumps(Number(1))


COLLIDING = {index << 44: 0 for index in range(6_500)}

BOMBS = {
    "depth of 65,000": b"\x81" * 65_000,
    "maps in maps": b"\xa1\x00" * 32_000,
    "array of 2^62 items": b"\x9b\x40" + bytes(7),
    "map of 2^62 entries": b"\xbb\x40" + bytes(7),
    "bytes of 2^62": b"\x5b\x40" + bytes(7),
    "text of 2^62": b"\x7b\x40" + bytes(7),
    "bignum of 64,000 bytes": b"\xc2\x59\xfa\x00" + b"\xff" * 64_000,
    "negative bignum": b"\xc3\x59\xfa\x00" + b"\xff" * 64_000,
    "shared cycle": bytes.fromhex("d81c81d81d00"),
    "shared bomb": bytes.fromhex("d81c85") + b"\xd8\x1d\x00" * 5,
    "regular expression": bytes.fromhex("d823") + cbor2.dumps("(a+)+" * 1_000 + "$"),
    "decimal exponent": bytes.fromhex("c4821a3b9aca0001"),
    "bigfloat exponent": bytes.fromhex("c5821a3b9aca0001"),
    "huge fraction": bytes.fromhex("d81e82") + cbor2.dumps(2**64 - 1) + cbor2.dumps(3),
    "MIME message": bytes.fromhex("d824") + cbor2.dumps("a: b\n" * 10_000),
    "string reference": bytes.fromhex("d9010081d81900"),
    "set of arrays": bytes.fromhex("d90102") + cbor2.dumps([[index] for index in range(9_000)]),
    "packed nulls": b"\x99\xff\xf0" + b"\xf6" * 65_500,
}


@pytest.mark.parametrize("name", BOMBS)
def test_t40_bombs_are_refused_fast_and_small(name: str) -> None:
    """A bomb is refused well under a second of processor time and within 4 MiB."""
    begun = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            loads(BOMBS[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 0.5
    assert peak < 4 * 2**20


def test_t40_colliding_keys_are_bounded_by_the_size_cap() -> None:
    """As many colliding integer keys as fit the default cap cost no noticeable time."""
    data = cbor2.dumps(COLLIDING, canonical=True)
    assert len(data) <= MAX_BYTES
    begun = time.process_time()
    assert loads(data) == COLLIDING
    assert time.process_time() - begun < 2.0


def test_t40_a_longer_bomb_meets_the_cap_first() -> None:
    """A bomb of any kind above the cap is refused for its length alone."""
    with pytest.raises(CodecError, match="is longer than the 65536 allowed"):
        loads(b"\x81" * 10**6)
