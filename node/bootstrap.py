"""The one line that tells a new device where a member can be reached, and whom to expect there.

    HOST:PORT=DEVICE:GOSSIP     gate.example.org:41641=3b6a…:9d61…

HOST is a name or an address (an IPv6 one in brackets), DEVICE and GOSSIP are the member's two
public keys in hexadecimal. A node prints its own line in `hedgerow status`; an admin passes it to
`hedgerow admin invite --via`. The keys are in it so that the first packet of a join is already
sealed for the right member.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from crypto.errors import LocalError
from crypto.invite import Bootstrap

_PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})")
_KEY = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class Place:
    """A host and a port to send to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_place(text: str) -> Place:
    """Read HOST:PORT.

    Raises:
        LocalError: It is something else.
    """
    found = _PLACE.fullmatch(text)
    port = int(found["port"]) if found else 0
    if found is None or not 0 < port < 65536:
        raise LocalError(
            f"{text!r} is not HOST:PORT",
            remedy="write it like gate.example.org:41641 or [2001:db8::1]:41641",
        )
    return Place(_six(found["six"]) if found["six"] else found["host"], port)


def _six(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as error:
        raise LocalError(
            f"{text!r} is not an IPv6 address", remedy="write it like [2001:db8::1]:41641"
        ) from error


def parse_bootstrap(text: str) -> Bootstrap:
    """Read a member's bootstrap line.

    Raises:
        LocalError: It is not HOST:PORT=DEVICE:GOSSIP with two keys of 64 hexadecimal digits.
    """
    place_text, _, keys = text.strip().partition("=")
    device, _, gossip = keys.partition(":")
    if not (_KEY.fullmatch(device) and _KEY.fullmatch(gossip)):
        raise LocalError(
            f"{text.strip()!r} is not a bootstrap line",
            remedy="copy the line that `hedgerow status` prints on a member: HOST:PORT=KEY:KEY",
        )
    place = parse_place(place_text)
    return Bootstrap(
        host=place.host,
        port=place.port,
        device_id=bytes.fromhex(device),
        gossip_public=bytes.fromhex(gossip),
    )


def format_bootstrap(bootstrap: Bootstrap) -> str:
    """Write a member's bootstrap line, as parse_bootstrap reads it."""
    place = Place(bootstrap.host, bootstrap.port)
    return f"{place}={bootstrap.device_id.hex()}:{bootstrap.gossip_public.hex()}"
