"""Kinds of argument that several commands take, each checked before a command runs."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import click

_DURATION = re.compile(r"(\d{1,9})([smhdwy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


class Duration(click.ParamType[int]):
    """A span of time such as 90s, 30m, 24h, 7d, 2w or 1y, as seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read a span; a default may come as seconds already."""
        if isinstance(value, int):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is not a span of time such as 30m, 24h or 7d.", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class Moment(click.ParamType[float]):
    """An instant as RFC 3339 writes it, as Unix seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read an instant; without an offset it is UTC."""
        if isinstance(value, float):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-23T05:00:00Z.", param, ctx)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


class Network(click.ParamType[IPv4Network]):
    """An IPv4 network, or a single address as a network of its own."""

    name = "network"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Network:
        """Read ADDRESS or ADDRESS/PREFIX; the address is the first of the network."""
        try:
            return IPv4Network(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not an IPv4 address or network: {error}.", param, ctx)


@dataclass(frozen=True, slots=True)
class FlowTo:
    """Where a flow goes, and on which protocol and port.

    Attributes:
        destination: The name as it was written.
        proto: IANA protocol number; None is one that no rule can name.
        port: Destination port, where the protocol has ports.
        text: Protocol and port as they were written.
    """

    destination: str
    proto: int | None
    port: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.destination}:{self.text}"


class Flow(click.ParamType[FlowTo]):
    """DST:PROTO/PORT, such as db1:tcp/5432, tag:prod:udp/53 or db1:icmp."""

    name = "flow"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> FlowTo:
        """Read a destination and a single port of it."""
        from policy.ports import parse_ports

        destination, colon, ports = str(value).rpartition(":")
        if not (colon and destination):
            self.fail(f"{value!r} is not DST:PROTO/PORT, such as db1:tcp/5432.", param, ctx)
        try:
            first = parse_ports(ports)[0]
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if first.lo != first.hi:
            self.fail(f"{ports!r} is more than one port; ask about a single one.", param, ctx)
        return FlowTo(destination, first.proto, first.lo, ports)


DURATION = Duration()
MOMENT = Moment()
NETWORK = Network()
FLOW = Flow()
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
