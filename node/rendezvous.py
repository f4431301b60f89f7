"""Find the mesh: the members we knew, and those the invite named, as addresses to try."""

import asyncio
import socket
from collections.abc import Callable, Iterable

from crypto.invite import Bootstrap
from gossip.events import Seed
from node import log, udp

RESOLVE_SECONDS = 5.0
RETRY_SECONDS = 15.0
RETRY_SECONDS_MAX = 300.0
# More than any mesh needs to be found again; the latest known go first.
SEEDS_MAX = 64


async def resolve(members: Iterable[Bootstrap]) -> tuple[list[Seed], list[str]]:
    """Return the addresses of members, and the names that could not be resolved."""
    seeds: list[Seed] = []
    unresolved: list[str] = []
    for member in members:
        addresses = await _addresses(member.host, member.port)
        if not addresses:
            unresolved.append(member.host)
        seeds += [Seed(each, member.device_id, member.gossip_public) for each in addresses]
    return seeds[:SEEDS_MAX], unresolved


async def _addresses(host: str, port: int) -> list[tuple[str, int]]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError):
        return []
    return list(dict.fromkeys((udp.normalise(str(entry[4][0])), port) for entry in found))


async def keep_joining(members: Iterable[Bootstrap], join: Callable[[list[Seed]], None]) -> None:
    """Give the core its seeds, and go on trying names that did not resolve.

    The core itself never gives up on seeds that it has.
    """
    logger = log.get("rendezvous")
    waiting, delay = list(members), RETRY_SECONDS
    while waiting:
        seeds, unresolved = await resolve(waiting)
        if seeds:
            join(seeds)
        waiting = [member for member in waiting if member.host in unresolved]
        if waiting:
            logger.warning("names do not resolve", names=sorted(set(unresolved)), again_in=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)
