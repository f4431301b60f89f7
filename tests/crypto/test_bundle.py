"""Bundle files: the head and exactly the parts it names."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import bundle as module
from crypto.bundle import BUNDLE_BYTES_MAX, PARTS_BYTES_MAX, ROOTS_MAX, Bundle
from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, ObjectError, PeerError
from crypto.objects import PartRef
from crypto.signing import ObjectType, seal
from tests.crypto.samples import ADMINS, DIRECTORY, HEAD, MESH_ID, POLICY, sealed

PARTS = {"policy": POLICY, "directory": DIRECTORY.to_payload()}
BUNDLE = Bundle((sealed(ObjectType.ROOT),), sealed(ObjectType.HEAD), PARTS)


def wire() -> Any:  # noqa: ANN401 - maps to be changed at any depth
    """Return the sample file's fields."""
    return loads(BUNDLE.encode())


def test_a_file_reads_back() -> None:
    """Written and read, a bundle is equal to itself and shows its head."""
    assert Bundle.decode(BUNDLE.encode()) == BUNDLE
    assert BUNDLE.decoded_head() == HEAD


def test_roots_may_be_left_out() -> None:
    """A bundle for nodes that know the root carries none."""
    assert Bundle.decode(replace(BUNDLE, roots=()).encode()).roots == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": sealed(ObjectType.ROOT)}, "a head was expected, not a root"),
        ({"head": b""}, "not an envelope of a known type"),
        ({"roots": (sealed(ObjectType.HEAD),)}, "a root was expected, not a head"),
        ({"roots": (sealed(ObjectType.ROOT),) * 2}, "roots has an entry twice"),
        (
            {"roots": tuple(n.to_bytes(2, "big") for n in range(ROOTS_MAX + 1))},
            "1025 roots, at most 1024 allowed",
        ),
        ({"parts": {}}, "it does not carry the part '(policy|directory)'"),
        ({"parts": {"policy": POLICY}}, "it does not carry the part 'directory'"),
        (
            {"parts": PARTS | {"geo": b""}},
            "it carries, and its head does not name, the part 'geo'",
        ),
        ({"parts": PARTS | {"policy": POLICY + b"x"}}, "part policy is not the one its head"),
        ({"parts": PARTS | {"policy": POLICY[:-1] + b"x"}}, "part policy is not the one"),
        (
            {"parts": {"policy": PARTS["directory"], "directory": POLICY}},
            "part (policy|directory) is not the one its head names",
        ),
    ],
)
def test_t17_a_bundle_has_exactly_the_parts_of_its_head(
    changes: dict[str, Any], message: str
) -> None:
    """A part missing, added, changed or swapped refuses the whole bundle."""
    with pytest.raises(ObjectError, match=message):
        replace(BUNDLE, **changes)


def test_t46_the_parts_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts longer together than the bound are refused before they are hashed."""
    monkeypatch.setattr(module, "PARTS_BYTES_MAX", len(POLICY))
    with pytest.raises(ObjectError, match="length of its parts must be 0 to 25, not"):
        replace(BUNDLE)


def test_t46_a_file_has_a_bound() -> None:
    """A file of more than 16 MiB is not parsed."""
    assert BUNDLE_BYTES_MAX == 2 * PARTS_BYTES_MAX
    with pytest.raises(CodecError, match="is longer than the 16777216 allowed"):
        Bundle.decode(bytes(BUNDLE_BYTES_MAX + 1))


def test_a_part_of_the_longest_length_fits() -> None:
    """A bundle whose only part has 8 MiB is written and read."""
    part = bytes(PARTS_BYTES_MAX)
    head = replace(HEAD, parts={"geo": PartRef(1, sha256(part).digest(), len(part))})
    raw = seal(ObjectType.HEAD, MESH_ID, head.to_payload(), ADMINS)
    bundle = Bundle((), raw, {"geo": part})
    assert Bundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({1: "hedgerow-bundle-2"}, "this file is none, or of a form this version does not know"),
        ({1: 1}, "kind must be str, not int"),
        ({2: [0]}, r"roots\[0\] must be bytes, not int"),
        ({3: None}, "head must be bytes, not NoneType"),
        ({4: {"policy": "text"}}, "part 'policy' must be bytes, not str"),
        ({4: {1: b""}}, "parts needs names as keys"),
        ({5: 0}, "field 5 is critical"),
    ],
)
def test_a_file_is_read_strictly(changes: dict[int, Value], message: str) -> None:
    """A field of another type or kind refuses the file and is named."""
    with pytest.raises(ObjectError, match=f"bundle: {message}"):
        Bundle.decode(dumps(wire() | changes))


@pytest.mark.parametrize("key", range(1, 5))
def test_every_field_has_to_be_there(key: int) -> None:
    """A file without one of its fields is refused."""
    fields = wire()
    del fields[key]
    with pytest.raises(ObjectError, match=r"bundle: .* is missing"):
        Bundle.decode(dumps(fields))


@given(st.integers(0), st.integers(1, 255))
def test_t02_any_change_of_a_byte_is_refused_or_in_a_signature(position: int, change: int) -> None:
    """A changed byte is refused, unless it lies in an envelope, which trust verifies."""
    data = bytearray(BUNDLE.encode())
    data[position % len(data)] ^= change
    try:
        bundle = Bundle.decode(bytes(data))
    except PeerError:
        return
    assert bundle.parts == BUNDLE.parts
    assert (bundle.roots, bundle.head) != (BUNDLE.roots, BUNDLE.head)


def test_repr_is_short() -> None:
    """Printing a bundle does not print its megabytes."""
    assert repr(BUNDLE) == "Bundle()"
