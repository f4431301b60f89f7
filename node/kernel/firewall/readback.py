"""What the kernel says it holds: the table from `nft -n -j list table`, normalised.

Pure. nft prints an element's remaining time in whole seconds, so deadlines read back are up to a
second early; the first difference after a read sets them anew.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from node.engine.desired import Address, LiveKey, PortKey
from node.kernel.firewall.content import Content
from node.kernel.firewall.errors import UnreadableTableError


@dataclass(frozen=True, slots=True)
class Count:
    """What one of the table's counters has counted."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Readback:
    """The table as the kernel holds it.

    Attributes:
        content: Its elements. Deadlines are up to one second early.
        rules: Every chain and rule as text without handles, in the kernel's order; two tables
            with equal rules decide alike.
        objects: The names of its sets, maps, chains and counters.
        counters: The counters by name.
    """

    content: Content
    rules: tuple[str, ...]
    objects: frozenset[str]
    counters: Mapping[str, Count]


def parse(document: bytes, now: float) -> Readback:
    """Return what one `nft -n -j list table` printed, with deadlines counted from `now`.

    Raises:
        UnreadableTableError: It is not what nft prints for a table of ours.
    """
    try:
        entries = [
            next(iter(entry.items())) for entry in json.loads(document)["nftables"] if entry
        ]
        elements = {
            body["name"]: body.get("elem", []) for kind, body in entries if kind in {"set", "map"}
        }
        return Readback(
            _content(elements, now),
            tuple(_rule(kind, body) for kind, body in entries if kind in {"chain", "rule"}),
            frozenset(
                f"{kind} {body['name']}"
                for kind, body in entries
                if kind in {"set", "map", "chain", "counter"}
            ),
            {
                body["name"]: Count(body["packets"], body["bytes"])
                for kind, body in entries
                if kind == "counter"
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnreadableTableError(
            f"nft printed a table that cannot be read: {error!r}",
            remedy="another program has changed Hedgerow's table; the next update replaces it",
        ) from error


def _rule(kind: str, body: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in body.items() if key not in {"handle", "table"}}
    return f"{kind} {json.dumps(kept, sort_keys=True, separators=(',', ':'))}"


def _content(elements: Mapping[str, list[Any]], now: float) -> Content:
    classes: dict[str, dict[Address, int]] = {"in": {}, "out": {}}
    ports: dict[str, dict[PortKey, int]] = {"in": {}, "out": {}}
    live: dict[LiveKey, float | None] = {}
    for side in ("in", "out"):
        for version in ("4", "6"):
            for key, value in elements.get(f"{side}_class{version}", ()):
                classes[side][ip_address(key)] = value
        for kind in ("any", "protos", "ports"):
            for key, value in elements.get(f"{side}_{kind}", ()):
                ports[side][_port_key(_parts(key))] = value
    for version in ("4", "6"):
        live.update(_live(elements.get(f"live{version}", ()), now))
    return Content(classes["in"], ports["in"], classes["out"], ports["out"], live)


def _parts(key: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return list(key["concat"]) if isinstance(key, dict) else [key]


def _port_key(parts: list[Any]) -> PortKey:
    cls = int(parts[0])
    proto = int(parts[1]) if len(parts) > 1 else None
    if len(parts) < 3:
        return PortKey(cls, proto, None, None)
    ports = parts[2]
    lo, hi = ports["range"] if isinstance(ports, dict) else (ports, ports)
    return PortKey(cls, proto, int(lo), int(hi))


def _live(elements: Iterable[Any], now: float) -> Iterable[tuple[LiveKey, float | None]]:
    for element in elements:
        deadline: float | None = None
        value = element
        if "elem" in element:
            value = element["elem"]["val"]
            if "expires" in element["elem"]:
                deadline = now + element["elem"]["expires"]
        address, gid = value["concat"]
        yield (ip_address(address), int(gid)), deadline
