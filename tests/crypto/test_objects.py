"""What all objects have in common: one encoding, no room for surprises, golden bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, ObjectError, PeerError
from crypto.objects import SignedObject, parse, payload_of
from crypto.objects.fields import (
    TEXT_CHARACTERS_MAX,
    TIME_MAX,
    Reader,
    check_names,
    check_text,
    check_times,
)
from crypto.signing import ObjectType, decode, object_id
from tests.crypto.samples import OBJECTS, sealed

TYPES = list(ObjectType)

# The ids of the samples, as the first release wrote them. A change here is a change of format:
# every object signed before it gets another id.
GOLDEN_IDS = {
    ObjectType.ROOT: "e6c585488352ca61efe422f1657fb33cd1d3f6fb66bca7d44a368ccc23941599",
    ObjectType.HEAD: "2260af5a32c67bc682b62318bb32a47b781b7b2268bdf83b4f8c94ec254c1a83",
    ObjectType.TICKET: "b91ddbcb22426ebf781c4134778e7915ef7e74e5ee2e654d2a00a8cfc88ea8aa",
    ObjectType.DEVICE: "38ad55199773d7aad893807c7b09c5fcb263a8a6e94a82f798001f3394bb1694",
    ObjectType.SPONSOR: "45a155c5cc4713787104f525585146cfe8c26fc828de0212ecec85898446e97a",
    ObjectType.REVOKE: "7e53be924b9997d0543294802b83d75fd45a4fc40c7392054ff08275f61b705a",
    ObjectType.MEMBER: "cea904d1a49873b66a3e8fa11dfd3ce2734bb4ed6a1dc3e34b4fb27cbabd6f9a",
    ObjectType.ACCUSATION: "0b04b4e252212692dba1cb2d6505aaab1d5119146e013a8151c34f0816f60481",
    ObjectType.LEAVE: "1e358a50b84cea4d07119ded5be6853f8cb86c8f486a1bbe2c59917824b864db",
}

OPTIONAL_KEYS = {
    ObjectType.ROOT: {7},
    ObjectType.HEAD: {6},
    ObjectType.TICKET: {2, 4, 9},
    ObjectType.DEVICE: {5, 11, 12},
    ObjectType.MEMBER: {5},
}


def fields_of(object_type: ObjectType) -> dict[int, Value]:
    """Return the sample's payload as a map."""
    value = loads(OBJECTS[object_type].to_payload(), max_bytes=10**6)
    assert isinstance(value, dict)
    return cast("dict[int, Value]", value)


def reader_of(object_type: ObjectType) -> Callable[[bytes], SignedObject]:
    """Return the function that reads payloads of this type."""
    return type(OBJECTS[object_type]).from_payload


@pytest.mark.parametrize("object_type", TYPES)
def test_a_payload_reads_back_as_the_object(object_type: ObjectType) -> None:
    """Written and read, an object is equal to itself, through the envelope as well."""
    sample = OBJECTS[object_type]
    assert reader_of(object_type)(sample.to_payload()) == sample
    assert parse(decode(sealed(object_type))) == sample


@pytest.mark.parametrize("object_type", TYPES)
def test_golden_ids(object_type: ObjectType) -> None:
    """The format has not changed: each sample has the id it always had."""
    assert object_id(OBJECTS[object_type].to_payload()).hex() == GOLDEN_IDS[object_type]


@pytest.mark.parametrize("object_type", TYPES)
def test_every_field_has_to_be_there(object_type: ObjectType) -> None:
    """Without one of its fields a payload is refused, unless the field is optional."""
    for key in fields_of(object_type):
        fields = fields_of(object_type)
        del fields[key]
        if key in OPTIONAL_KEYS.get(object_type, set()):
            reader_of(object_type)(dumps(fields))
        else:
            with pytest.raises(ObjectError, match=f"{object_type}: .* is missing"):
                reader_of(object_type)(dumps(fields))


@pytest.mark.parametrize("object_type", TYPES)
@pytest.mark.parametrize(
    "wrong", [None, True, -1, 2**64 - 1, "\n", b"", [], [[]], [0], {0: {}}, {"x": 0}]
)
def test_no_field_takes_another_type(object_type: ObjectType, wrong: Value) -> None:
    """A field of another type, or null for a missing one, is refused or is a valid other value."""
    for key in fields_of(object_type):
        changed = fields_of(object_type) | {key: wrong}
        try:
            read = reader_of(object_type)(dumps(changed))
        except ObjectError:
            continue
        assert loads(read.to_payload(), max_bytes=10**6) == changed


@pytest.mark.parametrize("object_type", TYPES)
def test_t72_an_unknown_critical_field_is_refused(object_type: ObjectType) -> None:
    """A field below 0x8000 that this version does not know refuses the object."""
    with pytest.raises(ObjectError, match="field 32767 is critical and not known") as caught:
        reader_of(object_type)(dumps(fields_of(object_type) | {0x7FFF: 0}))
    assert "update Hedgerow" in caught.value.remedy


@pytest.mark.parametrize("object_type", TYPES)
def test_an_unknown_addition_is_ignored_but_hashed(object_type: ObjectType) -> None:
    """A field from 0x8000 on changes the id and nothing else."""
    payload = dumps(fields_of(object_type) | {0x8000: "new"})
    assert reader_of(object_type)(payload) == OBJECTS[object_type]
    assert object_id(payload).hex() != GOLDEN_IDS[object_type]


@pytest.mark.parametrize("object_type", TYPES)
@pytest.mark.parametrize("value", [None, 0, [], "text", {"text": 0}])
def test_a_payload_is_a_map_of_integers(object_type: ObjectType, value: Value) -> None:
    """Anything but a map with integer keys is no object."""
    with pytest.raises(ObjectError, match="a map with integer keys was expected"):
        reader_of(object_type)(dumps(value))


@pytest.mark.parametrize("object_type", TYPES)
def test_an_endless_payload_is_refused(object_type: ObjectType) -> None:
    """A payload longer than any envelope of its type could carry is not parsed."""
    with pytest.raises(CodecError, match="is longer than"):
        reader_of(object_type)(dumps({0x8000: bytes(512_000)}))


WIRE_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=33)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(0, 9), inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(TYPES), st.dictionaries(st.integers(1, 12), WIRE_VALUES, max_size=4))
def test_any_fields_give_an_object_or_a_peer_error(
    object_type: ObjectType, changes: dict[int, Value]
) -> None:
    """Whatever stands in the fields, reading gives a valid object or a PeerError."""
    changed = dumps(fields_of(object_type) | changes)
    try:
        read = reader_of(object_type)(changed)
    except PeerError:
        return
    assert reader_of(object_type)(read.to_payload()) == read


def test_payload_of_wants_its_type() -> None:
    """An envelope of another type than expected is named as what it is."""
    assert payload_of(sealed(ObjectType.HEAD), ObjectType.HEAD)
    with pytest.raises(ObjectError, match="a root was expected, not a head"):
        payload_of(sealed(ObjectType.HEAD), ObjectType.ROOT)


# --- shared checks ---


def test_a_reader_names_the_lowest_field_left() -> None:
    """Of several unknown critical fields the message names the lowest."""
    reader = Reader("thing", {0x7FFF: 0, 3: 0, 5: 0, 0x8001: 0})
    reader.take(3, "known", int)
    with pytest.raises(ObjectError, match="thing: field 5 is critical"):
        reader.finish()


@pytest.mark.parametrize(
    "value",
    [
        [],
        [b"\x64\x40\x00\x00"],
        [b"\x64\x40\x00\x00", 33],
        [b"\x64\x40\x00\x00", -1],
        [b"\x64\x40\x00\x01", 10],
        [b"\x64\x40\x00", 10],
        [bytes(16), 10],
        ["100.64.0.0", 10],
        [b"\x00\x00\x00\x00", True],
        [b"\x64\x40\x00\x00", 10, 0],
    ],
)
def test_a_network_is_four_bytes_and_a_prefix(value: Value) -> None:
    """Any other form, a prefix out of range and bits behind the prefix are refused."""
    with pytest.raises(ObjectError, match="thing: net is no IPv4 network"):
        Reader("thing", {1: value}).take_network4(1, "net")


@pytest.mark.parametrize("value", [0, TIME_MAX])
def test_times_reach_the_year_9999(value: int) -> None:
    """The first and the last second that can be written down are fine."""
    check_times("thing", at=value, absent=None)


@pytest.mark.parametrize("value", [-1, TIME_MAX + 1])
def test_times_end_there(value: int) -> None:
    """A time before 1970 or after 9999 is refused and named."""
    with pytest.raises(ObjectError, match=f"thing: at must be 0 to {TIME_MAX}, not {value}"):
        check_times("thing", at=value)


@pytest.mark.parametrize(
    "text", ["", "lost in Pune", "gestohlen in Köln", "x" * TEXT_CHARACTERS_MAX]
)
def test_text_may_be_any_that_prints(text: str) -> None:
    """Printable text of up to 255 characters is fine, in any script."""
    check_text("thing", "reason", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * (TEXT_CHARACTERS_MAX + 1), "must have 0 to 255 characters, not 256"),
        ("a\nb", "holds a control or invisible character"),
        ("a\x1b[31m", "holds a control or invisible character"),
        ("a\u202eb", "holds a control or invisible character"),
        ("a\u200bb", "holds a control or invisible character"),
        ("cafe\u0301", "is not in Unicode normal form C"),
    ],
)
def test_t68_text_that_shows_as_something_else_is_refused(text: str, message: str) -> None:
    """Control characters, invisible ones and unnormalised letters are refused."""
    with pytest.raises(ObjectError, match=f"thing: reason {message}"):
        check_text("thing", "reason", text)


def test_text_may_have_to_be_there() -> None:
    """Where text is needed, an empty one is refused."""
    with pytest.raises(ObjectError, match="must have 1 to 255 characters, not 0"):
        check_text("thing", "reason", "", minimum=1)


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "a\n", "a" * 64, "-a", ".a", "ä", "tag:a", "a/b", "a@b"]
)
def test_names_are_plain(name: str) -> None:
    """A name that could be taken for another, or for syntax, is refused."""
    with pytest.raises(ObjectError, match=r"thing: tags .* is no valid name"):
        check_names("thing", "tags", [name])


@pytest.mark.parametrize("name", ["a", "0", "_a", "a.b-c_d", "a" * 63])
def test_plain_names_are_fine(name: str) -> None:
    """Letters, digits, dots, underscores and hyphens, up to 63, are fine."""
    check_names("thing", "tags", [name])
