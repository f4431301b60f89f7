"""Invites, requests and approvals: whole or refused, and no secret in sight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crypto import armor
from crypto.armor import Kind
from crypto.codec import Value, dumps, loads
from crypto.errors import InviteError, LocalError, ObjectError
from crypto.invite import BOOTSTRAP_MAX, OBJECTS_MAX, Approval, Bootstrap, Invite, Request
from crypto.signing import ObjectType, append_signature
from tests.crypto import samples
from tests.crypto.samples import ALPHA, BETA, MESH_ID, OTHER_MESH_ID, TICKET, sealed

MEMBER = Bootstrap("198.51.100.7", 41_641, BETA.device_id, BETA.gossip_public)
ROOT = sealed(ObjectType.ROOT)
INVITE = Invite(
    mesh_id=MESH_ID,
    mesh_name="sample",
    ticket_raw=sealed(ObjectType.TICKET),
    ticket_seed=TICKET,
    bootstrap=(MEMBER, Bootstrap("gate.example.com", 1, ALPHA.device_id, ALPHA.gossip_public)),
    roots=(ROOT,),
)
REQUEST = Request.create(ALPHA, "alpha")
APPROVAL = Approval(
    mesh_id=MESH_ID,
    roots=(ROOT,),
    device_raw=sealed(ObjectType.DEVICE),
    bootstrap=(MEMBER,),
    objects=(sealed(ObjectType.HEAD), sealed(ObjectType.TICKET)),
    parts=(samples.POLICY,),
)

ALL = [(Kind.INVITE, INVITE), (Kind.REQUEST, REQUEST), (Kind.APPROVAL, APPROVAL)]


def wire(kind: Kind, text: str) -> Any:  # noqa: ANN401 - maps to be changed at any depth
    """Return the fields inside a line."""
    return loads(armor.decode(kind, text), max_bytes=armor.PAYLOAD_BYTES_MAX)


@pytest.mark.parametrize(("kind", "sample"), ALL)
def test_what_is_encoded_decodes_to_itself(
    kind: Kind, sample: Invite | Request | Approval
) -> None:
    """Each kind comes back from its line, wrapped at 72 letters as mail programs do."""
    text = sample.encode()
    wrapped = "\r\n".join(text[at : at + 72] for at in range(0, len(text), 72))
    assert text.startswith(kind.prefix)
    assert type(sample).decode(f"  {wrapped}\n") == sample


def test_an_invite_shows_its_ticket() -> None:
    """What the invite allows can be shown before it is used."""
    assert INVITE.ticket == samples.TICKET_OBJECT


def test_an_approval_shows_its_device() -> None:
    """What was approved can be shown."""
    assert APPROVAL.device == samples.DEVICE


def test_t71_no_repr_shows_a_secret() -> None:
    """Printing an invite shows where it leads and neither key nor ticket."""
    shown = repr(INVITE)
    assert "198.51.100.7" in shown
    for secret in (TICKET, INVITE.ticket_raw):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


@pytest.mark.parametrize(
    ("decode", "text", "message"),
    [
        (Invite.decode, APPROVAL.encode(), "this is an approval, not an invite"),
        (Invite.decode, REQUEST.encode(), "this is a request, not an invite"),
        (Approval.decode, INVITE.encode(), "this is an invite, not an approval"),
        (Request.decode, INVITE.encode(), "this is an invite, not a request"),
        (Invite.decode, "https://example.com", "this is not an invite"),
        (Request.decode, "", "this is not a request"),
        (Approval.decode, APPROVAL.encode()[:-9], "the approval is cut off"),
        (Invite.decode, INVITE.encode()[:50], "the invite is cut off"),
        (Request.decode, REQUEST.encode() + "AA", "the request is damaged"),
        (Invite.decode, INVITE.encode().replace("hgr1", "hgr2"), "a form this version does not"),
    ],
)
def test_a_wrong_paste_says_what_is_wrong(
    decode: Callable[[str], object], text: str, message: str
) -> None:
    """Another kind, another text, a cut and damage each have their own message and a remedy."""
    with pytest.raises(InviteError, match=message) as caught:
        decode(text)
    assert caught.value.remedy


@pytest.mark.parametrize(("kind", "sample"), ALL)
def test_every_field_has_to_be_there(kind: Kind, sample: Invite | Request | Approval) -> None:
    """A line without one of its fields is refused although its checksum fits."""
    for key in wire(kind, sample.encode()):
        fields = wire(kind, sample.encode())
        del fields[key]
        with pytest.raises(InviteError, match=r"cannot be used: .* is missing") as caught:
            type(sample).decode(armor.encode(kind, dumps(fields)))
        assert caught.value.remedy == "ask whoever made it for a new one"


@pytest.mark.parametrize(("kind", "sample"), ALL)
def test_an_unknown_critical_field_asks_for_an_update(
    kind: Kind, sample: Invite | Request | Approval
) -> None:
    """A field this version does not know refuses the line, an addition does not."""
    fields = wire(kind, sample.encode())
    with pytest.raises(InviteError, match="field 99 is critical") as caught:
        type(sample).decode(armor.encode(kind, dumps(fields | {99: 0})))
    assert "update Hedgerow" in caught.value.remedy
    assert type(sample).decode(armor.encode(kind, dumps(fields | {0x8000: 0}))) == sample


@pytest.mark.parametrize(("kind", "sample"), ALL)
@pytest.mark.parametrize("payload", [b"", b"\xff", dumps([]), dumps({"a": 0})])
def test_a_payload_that_is_no_map_cannot_be_used(
    kind: Kind, sample: Invite | Request | Approval, payload: bytes
) -> None:
    """A whole line around something else is refused."""
    with pytest.raises(InviteError, match=f"the {kind.noun} cannot be used: "):
        type(sample).decode(armor.encode(kind, payload))


NO_ROOT = sealed(ObjectType.HEAD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh_id": OTHER_MESH_ID}, "its first root is not the mesh's"),
        ({"mesh_id": b"id"}, "mesh_id must have 32 bytes, not 2"),
        ({"mesh_name": "No Name"}, "mesh name 'No Name' is no valid name"),
        ({"roots": ()}, "it carries no root"),
        ({"roots": (NO_ROOT,)}, "a root was expected, not a head"),
        ({"roots": (b"",)}, "not an envelope of a known type"),
        ({"roots": (ROOT, ROOT)}, "roots has an entry twice"),
        ({"roots": tuple(bytes([n % 256, n // 256]) for n in range(1_025))}, "1025 roots"),
        ({"ticket_seed": ALPHA.sign_seed}, "its private key is not the ticket's"),
        ({"ticket_seed": b"seed"}, "ticket_seed must have 32 bytes, not 4"),
        ({"ticket_raw": sealed(ObjectType.DEVICE)}, "a ticket was expected, not a device"),
        ({"ticket_raw": b"ticket"}, "not an envelope of a known type"),
        ({"bootstrap": (MEMBER, MEMBER)}, "bootstrap members has an entry twice"),
        (
            {"bootstrap": tuple(replace(MEMBER, port=n + 1) for n in range(BOOTSTRAP_MAX + 1))},
            "17 bootstrap members, at most 16 allowed",
        ),
    ],
)
def test_an_invite_does_not_contradict_itself(changes: dict[str, Any], message: str) -> None:
    """An invite that could not work is refused when made, and so when read."""
    with pytest.raises(InviteError, match=f"the invite cannot be used: .*{message}"):
        replace(INVITE, **changes)


def test_an_invite_for_the_first_members_has_nobody_to_join_through() -> None:
    """An invite without bootstrap members is fine: they may be told otherwise."""
    invite = replace(INVITE, bootstrap=())
    assert Invite.decode(invite.encode()) == invite


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device_id": BETA.device_id}, "it is not signed by the device it names"),
        ({"wireguard_public": BETA.wireguard_public}, "it is not signed by the device"),
        ({"gossip_public": BETA.gossip_public}, "it is not signed by the device it names"),
        ({"name": "beta"}, "it is not signed by the device it names"),
        ({"signature": bytes(64)}, "it is not signed by the device it names"),
        ({"signature": b""}, "it is not signed by the device it names"),
        ({"device_id": bytes(32)}, "device id is no valid Ed25519 public key"),
        ({"wireguard_public": bytes(32)}, "WireGuard key is no usable X25519"),
        ({"gossip_public": bytes(32)}, "gossip key is no usable X25519 public key"),
        ({"name": "Alpha"}, "name 'Alpha' is no valid name"),
    ],
)
def test_a_request_is_the_devices_own(changes: dict[str, Any], message: str) -> None:
    """Nobody can ask with a foreign device id, or change what a device asked for."""
    with pytest.raises(InviteError, match=f"the request cannot be used: .*{message}"):
        replace(REQUEST, **changes)


def test_a_request_needs_a_good_name() -> None:
    """A device name that could not be is refused when the request is made."""
    with pytest.raises(InviteError, match="name 'my laptop' is no valid name"):
        Request.create(ALPHA, "my laptop")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh_id": OTHER_MESH_ID}, "its first root is not the mesh's"),
        ({"roots": ()}, "it carries no root"),
        ({"device_raw": sealed(ObjectType.TICKET)}, "a device was expected, not a ticket"),
        ({"device_raw": b""}, "not an envelope of a known type"),
        ({"objects": (b"a", b"a")}, "objects has an entry twice"),
        ({"parts": (b"a", b"a")}, "parts has an entry twice"),
        (
            {"objects": tuple(n.to_bytes(2, "big") for n in range(OBJECTS_MAX + 1))},
            "1025 objects, at most 1024 allowed",
        ),
        (
            {"parts": tuple(n.to_bytes(2, "big") for n in range(OBJECTS_MAX + 1))},
            "1025 parts, at most 1024 allowed",
        ),
    ],
)
def test_an_approval_does_not_contradict_itself(changes: dict[str, Any], message: str) -> None:
    """An approval that could not work is refused when made, and so when read."""
    with pytest.raises(InviteError, match=f"the approval cannot be used: .*{message}"):
        replace(APPROVAL, **changes)


def test_an_approval_may_be_short() -> None:
    """Roots and device are enough: the rest comes from the mesh."""
    approval = Approval(MESH_ID, (ROOT,), sealed(ObjectType.DEVICE))
    assert Approval.decode(approval.encode()) == approval


def test_an_approval_too_long_to_paste_is_refused() -> None:
    """More than 1 MiB is no line for people, and is not made."""
    with pytest.raises(LocalError, match=r"the approval of \d+ bytes is too long"):
        replace(APPROVAL, parts=(bytes(2**20),)).encode()


def test_signatures_are_left_to_trust() -> None:
    """An invite whose ticket has one more signature is still read: its id is the same."""
    other = append_signature(INVITE.ticket_raw, MESH_ID, ALPHA.sign_seed)
    assert replace(INVITE, ticket_raw=other).ticket == INVITE.ticket


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": ""}, "host must have 1 to 255 characters, not 0"),
        ({"host": "a b"}, "host is no address or domain name"),
        ({"host": "a\n"}, "host holds a control"),
        ({"host": "a" * 254}, "host is no address or domain name"),
        ({"port": 0}, "port must be 1 to 65535, not 0"),
        ({"port": 65_536}, "port must be 1 to 65535, not 65536"),
        ({"device_id": bytes(32)}, "device id is no valid Ed25519 public key"),
        ({"gossip_public": bytes(32)}, "gossip key is no usable X25519 public key"),
    ],
)
def test_a_bootstrap_member_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a bootstrap member is refused with its own words."""
    with pytest.raises(ObjectError, match=f"bootstrap: {message}"):
        replace(MEMBER, **changes)


@pytest.mark.parametrize(
    "value", [0, [], {}, {1: "h", 2: "p", 3: BETA.device_id, 4: BETA.gossip_public}]
)
def test_a_bootstrap_member_is_read_strictly(value: Value) -> None:
    """A bootstrap member of another form refuses the invite."""
    fields = wire(Kind.INVITE, INVITE.encode())
    with pytest.raises(InviteError, match="the invite cannot be used: bootstrap: "):
        Invite.decode(armor.encode(Kind.INVITE, dumps(fields | {5: [value]})))


def test_a_line_that_contradicts_itself_is_refused_when_read() -> None:
    """Reading checks as making does, and says it once."""
    fields = wire(Kind.INVITE, INVITE.encode()) | {1: OTHER_MESH_ID}
    message = "^the invite cannot be used: invite: its first root is not the mesh's$"
    with pytest.raises(InviteError, match=message):
        Invite.decode(armor.encode(Kind.INVITE, dumps(fields)))
