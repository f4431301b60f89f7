"""Hellos: sealed to one receiver, proving the sender, answered within their own length."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import Value, dumps
from crypto.errors import CodecError, LocalError, PeerError
from gossip import hello, limits
from tests.forge import device_keys, seed

MESH = seed("mesh")


def own(label: str, mesh: bytes = MESH) -> hello.Own:
    """Return the hello keys of a device."""
    keys = device_keys(label)
    return hello.Own(mesh, keys.device_id, keys.gossip_private, keys.gossip_public)


ALICE, BOB, EVE = own("alice"), own("bob"), own("eve")
BODY = hello.HelloBody(123, seed("session"), member=b"m" * 300)


def greet(body: hello.HelloBody = BODY, to: hello.Own = BOB) -> tuple[bytes, hello.Pending]:
    """Return Alice's hello to somebody."""
    return hello.seal_hello(ALICE, to.device_id, to.static_public, seed("ephemeral"), body)


def opened(data: bytes, by: hello.Own = BOB) -> hello.Opened:
    """Open a hello that must open."""
    assert hello.is_for(by, data)
    found = hello.open_hello(by, data)
    assert found is not None
    return found


def test_a_hello_says_who_and_what() -> None:
    """The receiver learns the sender's id, key and words."""
    data, _ = greet()
    found = opened(data)
    assert found.device_id == ALICE.device_id
    assert found.static_public == ALICE.static_public
    assert found.body == BODY
    assert found.length == len(data)


def test_hellos_are_padded() -> None:
    """A short hello is as long as any, so the reply has room and its length tells nothing."""
    data, _ = greet(hello.HelloBody(1, seed("session")))
    assert len(data) == hello.HELLO_BYTES_MIN


def test_only_the_receiver_opens_a_hello() -> None:
    """Others neither pass its checksum nor open it; nor does the same device in another mesh."""
    data, _ = greet()
    for other in (EVE, ALICE, own("bob", seed("other mesh"))):
        assert not hello.is_for(other, data)
        assert hello.open_hello(other, data) is None


def test_the_reply_is_for_the_sender_alone() -> None:
    """Only who sent the hello reads the reply, and it is never longer than the hello."""
    data, pending = greet()
    body = hello.ReplyBody(
        accepted=True,
        observed=("2001:db8::1", 7),
        session_key=seed("theirs"),
        member=b"r" * 400,
        evidence=None,
        reason="",
    )
    reply = hello.seal_reply(BOB, opened(data), seed("er"), body)
    assert reply is not None
    assert len(reply) <= len(data)
    assert hello.reply_echo(reply) == pending.echo
    assert hello.open_reply(ALICE, pending, reply) == body
    assert hello.open_reply(EVE, pending, reply) is None
    _, other = hello.seal_hello(ALICE, EVE.device_id, EVE.static_public, seed("e2"), BODY)
    assert hello.open_reply(ALICE, other, reply) is None


def test_a_reply_longer_than_the_hello_is_not_made() -> None:
    """What would amplify is not sent."""
    data, _ = greet()
    body = hello.ReplyBody(accepted=True, observed=("192.0.2.1", 1), member=b"x" * 700)
    assert hello.seal_reply(BOB, opened(data), seed("er"), body) is None


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_every_changed_byte_is_noticed(at: int, change: int) -> None:
    """A byte changed anywhere behind the first fails the checksum."""
    data = bytearray(greet()[0])
    at = 1 + at % (len(data) - 1)
    data[at] ^= change
    assert not hello.is_for(BOB, bytes(data))


def test_one_who_can_make_the_checksum_still_cannot_open() -> None:
    """With a right checksum over wrong boxes, nothing opens and nothing raises."""
    data = greet()[0]
    for at in (20, 60, 100, 200):
        rest = bytearray(data[17:])
        rest[at - 17] ^= 1
        mac = hello._mac(MESH, BOB.static_public, bytes(rest))
        forged = data[:1] + mac + bytes(rest)
        assert hello.is_for(BOB, forged)
        assert hello.open_hello(BOB, forged) is None


def test_small_order_keys_open_nothing() -> None:
    """An ephemeral of small order is refused in hello and reply."""
    data, pending = greet()
    forged = data[:17] + bytes(32) + data[49:]
    assert hello.open_hello(BOB, forged) is None
    assert (
        hello.open_reply(ALICE, pending, bytes([hello.REPLY]) + pending.echo + bytes(80)) is None
    )


@given(st.binary(max_size=200))
def test_authentic_rubbish_is_refused(plain: bytes) -> None:
    """A member that seals rubbish instead of a hello or reply is refused, not crashed on."""
    for decode in (hello._decode_hello, hello._decode_reply):
        with suppress(PeerError):
            decode(plain)


def framed(value: Value) -> bytes:
    """Return a hello's body with its length in front."""
    encoded = dumps(value)
    return len(encoded).to_bytes(2, "little") + encoded


KEY = bytes(32)


@pytest.mark.parametrize(
    "plain",
    [
        framed([1, KEY]),
        framed([1, b"short", None, None, None]),
        framed([1, KEY, 5, None, None]),
        framed([1, KEY, None, None, None]) + b"\x01",
        b"\xff\xff",
    ],
)
def test_malformed_hellos_are_refused(plain: bytes) -> None:
    """Wrong shapes of a hello's body raise CodecError."""
    with pytest.raises(CodecError):
        hello._decode_hello(plain)


@pytest.mark.parametrize(
    "value",
    [
        [1],
        [True, None, None, None, None, ""],
        [True, [bytes(4), 1], 7, None, None, ""],
        [1, [bytes(4), 1], None, None, None, ""],
    ],
)
def test_malformed_replies_are_refused(value: Value) -> None:
    """Wrong shapes of a reply's body raise CodecError."""
    with pytest.raises(CodecError):
        hello._decode_reply(dumps(value))


def test_a_hello_too_long_for_a_datagram_is_our_own_error() -> None:
    """A body beyond the limit raises, naming what to do."""
    with pytest.raises(LocalError, match="does not fit") as caught:
        greet(hello.HelloBody(1, seed("s"), member=bytes(limits.DATAGRAM_BYTES_MAX)))
    assert "fewer tags" in caught.value.remedy


def test_secrets_do_not_show() -> None:
    """`repr` of what a machine keeps shows no private key and no shared secret."""
    data, pending = greet()
    text = repr((ALICE, pending, opened(data)))
    for secret in (ALICE.static_private, pending.ephemeral_private, pending.es_ss):
        assert repr(secret)[2:-1] not in text
