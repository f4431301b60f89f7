"""What WireGuard is told: the least that changes one set of peers into another, and its text."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.desired import TunnelPeer
from node.kernel.wireguard.peers import (
    KnownPeer,
    PeerChange,
    WireGuardError,
    applied,
    changes,
    same_key,
)
from node.kernel.wireguard.uapi import (
    parse,
    parse_endpoint,
    render_device,
    render_endpoint,
    render_peers,
)

KEY = bytes(range(32))
OTHER = bytes([9]) * 32
FOUR = ip_network("100.64.0.2/32")
SIX = ip_network("fd00::2/128")
PEER = TunnelPeer(bytes(32), KEY, (FOUR, SIX), ("192.0.2.1", 51820), 25)
KNOWN = KnownPeer(frozenset({FOUR, SIX}), ("192.0.2.1", 51820), 25)


def only(known: dict[bytes, KnownPeer], peer: TunnelPeer) -> list[PeerChange]:
    """Return the changes from what is known to just this peer."""
    return list(changes(known, {peer.public_key: peer}))


def test_a_new_peer_is_created_whole() -> None:
    """Everything that is wished of a new peer is said, and that it is new."""
    assert only({}, PEER) == [
        PeerChange(
            KEY,
            create=True,
            allowed_ips=(FOUR, SIX),
            endpoint=("192.0.2.1", 51820),
            keepalive_seconds=25,
        )
    ]


def test_an_unchanged_peer_is_not_mentioned() -> None:
    """No difference, no change; also when no endpoint is wished, or the order differs."""
    assert only({KEY: KNOWN}, PEER) == []
    assert only({KEY: KNOWN}, replace(PEER, endpoint=None)) == []
    assert only({KEY: KNOWN}, replace(PEER, allowed_ips=(SIX, FOUR))) == []


def test_only_what_differs_is_said() -> None:
    """Each field of a change is there exactly when it differs."""
    assert only({KEY: KNOWN}, replace(PEER, endpoint=("192.0.2.7", 7))) == [
        PeerChange(KEY, endpoint=("192.0.2.7", 7))
    ]
    assert only({KEY: KNOWN}, replace(PEER, keepalive_seconds=0)) == [
        PeerChange(KEY, keepalive_seconds=0)
    ]
    assert only({KEY: KNOWN}, replace(PEER, allowed_ips=(FOUR,))) == [
        PeerChange(KEY, allowed_ips=(FOUR,))
    ]


def test_removals_come_first() -> None:
    """An address that moves from a removed peer to a new one is free when the new one comes."""
    found = list(changes({OTHER: KNOWN}, {KEY: PEER}))
    assert [change.remove for change in found] == [True, False]
    assert found[0] == PeerChange(OTHER, remove=True)


_PEERS = st.dictionaries(
    st.sampled_from([bytes([n]) * 32 for n in range(1, 5)]),
    st.tuples(
        st.lists(st.sampled_from([FOUR, SIX]), unique=True).map(tuple),
        st.none() | st.just(("192.0.2.1", 1)) | st.just(("2001:db8::1", 2)),
        st.integers(0, 2),
    ),
)


def _tunnel_peers(
    drawn: dict[bytes, tuple[tuple[object, ...], object, int]],
) -> dict[bytes, TunnelPeer]:
    return {
        key: TunnelPeer(bytes(32), key, ips, endpoint, keepalive)  # type: ignore[arg-type]
        for key, (ips, endpoint, keepalive) in drawn.items()
    }


@given(_PEERS, _PEERS)
def test_changes_lead_to_what_is_then_known(
    before: dict[bytes, tuple[tuple[object, ...], object, int]],
    after: dict[bytes, tuple[tuple[object, ...], object, int]],
) -> None:
    """Once the changes are carried out nothing is left to change, and endpoints are kept."""
    known = applied({}, _tunnel_peers(before))
    wished = _tunnel_peers(after)
    then = applied(known, wished)
    assert list(changes(then, wished)) == []
    assert set(then) == set(wished)
    for key, peer in wished.items():
        if peer.endpoint is None and key in known:
            assert then[key].endpoint == known[key].endpoint


def test_a_key_is_the_same_however_its_unused_bits_stand() -> None:
    """RFC 7748 section 5: three low bits and two high ones of a private key are fixed in use."""
    key = bytes([0x07, *range(1, 31), 0xFF])
    clamped = bytes([0x00, *range(1, 31), 0x7F])
    assert same_key(key, clamped)
    assert not same_key(key, bytes([0x08, *range(1, 31), 0x7F]))
    assert not same_key(key, b"")
    assert not same_key(b"", b"")


def test_an_operation_reads_as_the_protocol_says() -> None:
    """New peers, changed peers and removed ones, each in the protocol's own words."""
    text = render_peers(
        [
            PeerChange(OTHER, remove=True),
            PeerChange(KEY, create=True, allowed_ips=(FOUR, SIX), endpoint=("2001:db8::1", 7)),
            PeerChange(KEY, keepalive_seconds=0),
        ]
    )
    assert text == (
        f"set=1\npublic_key={OTHER.hex()}\nremove=true\n"
        f"public_key={KEY.hex()}\nendpoint=[2001:db8::1]:7\nreplace_allowed_ips=true\n"
        "allowed_ip=100.64.0.2/32\nallowed_ip=fd00::2/128\n"
        f"public_key={KEY.hex()}\nupdate_only=true\npersistent_keepalive_interval=0\n\n"
    )
    assert "replace_peers" not in text


def test_device_values_are_set_one_by_one() -> None:
    """Key and port are said only when given; saying a key again would drop the sessions."""
    assert render_device(private_key=KEY) == f"set=1\nprivate_key={KEY.hex()}\n\n"
    assert render_device(listen_port=7) == "set=1\nlisten_port=7\n\n"


@pytest.mark.parametrize(
    "endpoint", [("192.0.2.1", 51820), ("2001:db8::1", 1), ("fe80::1%eth0", 2)]
)
def test_endpoints_read_as_they_are_written(endpoint: tuple[str, int]) -> None:
    """An IPv6 host stands in brackets, and comes back without them."""
    assert parse_endpoint(render_endpoint(endpoint)) == endpoint


def test_an_answer_is_read_whole() -> None:
    """The device's values, each peer's, and lines that a later version may add."""
    device = parse(
        f"private_key={OTHER.hex()}\nlisten_port=51820\nfwmark=1\n"
        f"public_key={KEY.hex()}\npreshared_key={bytes(32).hex()}\nprotocol_version=1\n"
        "endpoint=[2001:db8::1]:7\nlast_handshake_time_sec=12\nlast_handshake_time_nsec=500000000\n"
        "tx_bytes=3\nrx_bytes=4\npersistent_keepalive_interval=25\n"
        "allowed_ip=100.64.0.2/32\nallowed_ip=fd00::2/128\n"
        f"public_key={OTHER.hex()}\nsomething_new=x\nerrno=0\n\n"
    )
    assert (device.private_key, device.listen_port, device.errno) == (OTHER, 51820, 0)
    peer = device.peers[KEY]
    assert (peer.endpoint, peer.allowed_ips) == (("2001:db8::1", 7), {FOUR, SIX})
    assert (peer.handshake_seconds, peer.handshake_nanoseconds) == (12, 500_000_000)
    assert (peer.tx, peer.rx, peer.keepalive_seconds) == (3, 4, 25)
    assert device.peers[OTHER].endpoint is None
    assert parse("errno=-22\n\n").errno == -22


@pytest.mark.parametrize(
    "text", ["listen_port=x", "public_key=zz", "allowed_ip=10.0.0.1/99", "endpoint=nowhere"]
)
def test_an_answer_that_makes_no_sense_is_an_error(text: str) -> None:
    """A damaged answer is reported as one, with what to do."""
    with pytest.raises(WireGuardError, match="cannot be read") as caught:
        parse(text)
    assert "install a wireguard-go" in caught.value.remedy
