"""Members by name or address, as seeds for the core."""

import asyncio
import socket
from typing import Any

import pytest

from crypto.invite import Bootstrap
from gossip.events import Seed
from node import rendezvous
from tests.node.rig import member


def at(host: str) -> Bootstrap:
    """Return a member at a host."""
    known = member()
    return Bootstrap(
        host=host, port=7, device_id=known.device_id, gossip_public=known.gossip_public
    )


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names that resolve, for a test to change."""
    known: dict[str, list[str]] = {}

    async def getaddrinfo(host: str, port: int, **options: int) -> list[tuple[Any, ...]]:
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return known


async def test_addresses_and_names_become_seeds(names: dict[str, list[str]]) -> None:
    """Each address of a name is tried; a mapped one is IPv4."""
    names.update({"192.0.2.1": ["192.0.2.1"], "gw.example": ["2001:db8::1", "::ffff:192.0.2.9"]})
    seeds, unresolved = await rendezvous.resolve([at("192.0.2.1"), at("gw.example"), at("no")])
    assert [seed.address for seed in seeds] == [
        ("192.0.2.1", 7),
        ("2001:db8::1", 7),
        ("192.0.2.9", 7),
    ]
    assert unresolved == ["no"]


async def test_seeds_are_bounded(names: dict[str, list[str]]) -> None:
    """A name with a thousand addresses is no thousand seeds."""
    names["many"] = [f"192.0.2.{number}" for number in range(200)]
    seeds, _ = await rendezvous.resolve([at("many")])
    assert len(seeds) == rendezvous.SEEDS_MAX


async def test_a_name_that_does_not_resolve_is_tried_again(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that boots before its network still finds the mesh."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            names["gw.example"] = ["192.0.2.1"]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    joins: list[list[Seed]] = []
    await rendezvous.keep_joining([at("gw.example")], joins.append)
    assert [[seed.address for seed in seeds] for seeds in joins] == [[("192.0.2.1", 7)]]
    assert waits == [15.0, 30.0, 60.0]
