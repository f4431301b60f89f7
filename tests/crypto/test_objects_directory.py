"""The directory: names, and who is who."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, ObjectError
from crypto.objects import PART_BYTES_MAX, Directory, DirectoryDevice, User
from crypto.objects import directory as module
from crypto.signing import object_id
from tests.crypto.samples import ALPHA, DIRECTORY

# As the first release wrote it; a change here is a change of format.
GOLDEN_ID = "fa135dfadb7be7c396452dbd293869675a590b04bfb3d25d47ece4da9eee14ae"


def wire() -> Any:  # noqa: ANN401 - maps to be changed at any depth
    """Return the sample directory's fields."""
    return loads(DIRECTORY.to_payload())


def test_a_directory_reads_back() -> None:
    """Written and read, a directory is equal to itself."""
    assert Directory.from_payload(DIRECTORY.to_payload()) == DIRECTORY


def test_golden_id() -> None:
    """The format has not changed: the sample has the id it always had."""
    assert object_id(DIRECTORY.to_payload()).hex() == GOLDEN_ID


def test_the_order_of_names_does_not_matter() -> None:
    """A directory built in another order has the same bytes."""
    other = Directory(
        users=dict(reversed(list(DIRECTORY.users.items()))),
        groups=dict(reversed(list(DIRECTORY.groups.items()))),
        tags=dict(reversed(list(DIRECTORY.tags.items()))),
        devices=dict(reversed(list(DIRECTORY.devices.items()))),
        closed_tickets=DIRECTORY.closed_tickets,
    )
    assert other.to_payload() == DIRECTORY.to_payload()


def test_an_empty_directory_is_fine() -> None:
    """A mesh may begin with nobody in it."""
    assert Directory.from_payload(Directory().to_payload()) == Directory()


@pytest.mark.parametrize("key", range(1, 6))
def test_every_section_has_to_be_there(key: int) -> None:
    """A directory without one of its sections is refused and the section named."""
    fields = wire()
    del fields[key]
    with pytest.raises(ObjectError, match=r"directory: .* is missing"):
        Directory.from_payload(dumps(fields))


def test_an_unknown_critical_section_is_refused() -> None:
    """A section this version does not know refuses the directory, an addition does not."""
    with pytest.raises(ObjectError, match="directory: field 6 is critical"):
        Directory.from_payload(dumps(wire() | {6: {}}))
    assert Directory.from_payload(dumps(wire() | {0x8000: {}})) == DIRECTORY


def test_a_directory_has_a_bound() -> None:
    """A directory longer than any part may be is not parsed."""
    with pytest.raises(CodecError, match="is longer than the 8388608 allowed"):
        Directory.from_payload(bytes(PART_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": {"Alice": User()}}, "users 'Alice' is no valid name"),
        ({"groups": {"g h": ()}}, "groups 'g h' is no valid name"),
        ({"groups": {"g": ("a", "a")}}, "group g has an entry twice"),
        ({"groups": {"g": ("user:a",)}}, "group g 'user:a' is no valid name"),
        ({"tags": {"tag:x": ()}}, "tags 'tag:x' is no valid name"),
        ({"tags": {"x": ("device:a",)}}, "tag x 'device:a' is no valid name"),
        ({"tags": {"x": ("group:",)}}, "tag x 'group:' is no valid name"),
        ({"devices": {"a.b": DirectoryDevice()}}, "devices 'a.b' is no valid name"),
        (
            {"devices": {n: DirectoryDevice(ALPHA.device_id) for n in ("a", "b")}},
            "device ids has an entry twice",
        ),
        ({"closed_tickets": (b"id",)}, "closed_ticket must have 32 bytes, not 2"),
        ({"closed_tickets": (bytes(32), bytes(32))}, "closed tickets has an entry twice"),
    ],
)
def test_a_directory_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a directory is refused with its own words."""
    with pytest.raises(ObjectError, match=f"directory: {message}"):
        replace(DIRECTORY, **changes)


@pytest.mark.parametrize("section", ["users", "groups", "tags", "devices"])
def test_sections_have_a_bound(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More names than allowed in one section are refused."""
    monkeypatch.setattr(module, "ENTRIES_MAX", 1)
    names = {name: User() if section == "users" else () for name in ("a", "b")}
    with pytest.raises(ObjectError, match=f"2 {section}, at most 1 allowed"):
        Directory(**{section: names})  # type: ignore[arg-type] # each section has its own type


def test_a_group_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """More names than allowed in one group are refused."""
    monkeypatch.setattr(module, "GROUP_MEMBERS_MAX", 1)
    with pytest.raises(ObjectError, match="2 group g, at most 1 allowed"):
        Directory(groups={"g": ("a", "b")})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (1, {1: {}}, "users needs names as keys"),
        (1, {"a": []}, "user 'a': a map with integer keys was expected"),
        (1, {"a": {1: 0}}, "user 'a': identity must be str, not int"),
        (1, {"a": {2: "0"}}, "user 'a': not_after must be int, not str"),
        (1, {"a": {3: 0}}, "user 'a': field 3 is critical"),
        (2, {"g": "alice"}, "groups 'g' must be a list of names"),
        (2, {"g": [b"alice"]}, "groups 'g' must be a list of names"),
        (3, {"t": {}}, "tags 't' must be a list of names"),
        (4, {"d": {}}, "device 'd': tags is missing"),
        (4, {"d": {1: "x", 2: []}}, "device 'd': device id must be bytes, not str"),
        (4, {"d": {2: [], 3: 0}}, "device 'd': owner must be str, not int"),
        (4, {"d": {2: [], 4: 0}}, "device 'd': field 4 is critical"),
        (5, ["id"], r"closed tickets\[0\] must be bytes, not str"),
    ],
)
def test_a_directory_is_read_strictly(key: int, value: Value, message: str) -> None:
    """A field of another type anywhere refuses the directory and names the place."""
    with pytest.raises(ObjectError, match=f"directory: {message}"):
        Directory.from_payload(dumps(wire() | {key: value}))


@pytest.mark.parametrize(
    ("identity", "not_after", "message"),
    [
        ("", None, "identity must have 1 to 255 characters, not 0"),
        ("okta:\n", None, "identity holds a control"),
        (None, -1, "not_after must be 0 to"),
    ],
)
def test_a_user_keeps_its_rules(identity: str | None, not_after: int | None, message: str) -> None:
    """Each broken rule of a user is refused with its own words."""
    with pytest.raises(ObjectError, match=f"user: {message}"):
        User(identity, not_after)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"device_id": bytes(32)}, "device id is no valid Ed25519 public key"),
        ({"tags": ("A",)}, "tags 'A' is no valid name"),
        ({"owner": "A"}, "owner 'A' is no valid name"),
    ],
)
def test_a_directory_device_keeps_its_rules(device: dict[str, Any], message: str) -> None:
    """Each broken rule of a device entry is refused with its own words."""
    with pytest.raises(ObjectError, match=f"directory device: {message}"):
        DirectoryDevice(**device)
