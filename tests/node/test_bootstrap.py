"""The bootstrap line that one node prints and an admin pastes."""

import pytest

from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from crypto.invite import Bootstrap
from node.bootstrap import Place, format_bootstrap, parse_bootstrap, parse_place

KEYS = DeviceKeys.generate(lambda count: bytes(range(1, count + 1)))
PAIR = f"{KEYS.device_id.hex()}:{KEYS.gossip_public.hex()}"


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("192.0.2.1", f"192.0.2.1:41641={PAIR}"),
        ("gate.example.org", f"gate.example.org:41641={PAIR}"),
        ("2001:db8::1", f"[2001:db8::1]:41641={PAIR}"),
    ],
)
def test_round_trip(host: str, line: str) -> None:
    """Names and addresses of both families are written and read back unchanged."""
    member = Bootstrap(host, 41641, KEYS.device_id, KEYS.gossip_public)
    assert format_bootstrap(member) == line
    assert parse_bootstrap(f"  {line}\n") == member


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:0", "host:65536", "::1:80", "[::1]", "a b:1", "host:1:2"]
)
def test_wrong_place_is_refused(text: str) -> None:
    """A place without a host or a usable port is refused, and the remedy shows a right one."""
    with pytest.raises(LocalError, match=r"is not HOST:PORT") as caught:
        parse_place(text)
    assert "gate.example.org:41641" in caught.value.remedy


def test_bracketed_nonsense_is_refused() -> None:
    """What stands in brackets has to be an IPv6 address."""
    with pytest.raises(LocalError, match="is not an IPv6 address"):
        parse_place("[1.2.3.4]:80")


@pytest.mark.parametrize("keys", ["", "ab:cd", PAIR[:-1], PAIR + "0", PAIR.replace(":", "")])
def test_line_without_two_keys_is_refused(keys: str) -> None:
    """Both keys have to be there in full."""
    with pytest.raises(LocalError, match="is not a bootstrap line"):
        parse_bootstrap(f"192.0.2.1:41641={keys}")


def test_place_is_written_as_it_is_read() -> None:
    """IPv6 addresses come out in brackets, in their short form."""
    assert str(parse_place("[2001:DB8:0::1]:80")) == "[2001:db8::1]:80"
    assert parse_place("h:1") == Place("h", 1)
