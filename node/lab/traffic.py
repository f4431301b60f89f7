"""Real connections, made inside the lab's namespaces: servers, probes and long flows.

Run as `python -m node.lab.traffic ROLE …` in a namespace; speaks JSON lines on stdout. Times are
of the monotonic clock, which all namespaces of one machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

PROBES_AT_ONCE = 32
LINE_BYTES_MAX = 256


def say(**fields: Any) -> None:  # noqa: ANN401 - whatever JSON can carry
    """Write one JSON line and hand it on at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


# -- server ---------------------------------------------------------------------------------------


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, OSError, asyncio.CancelledError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError):
        writer.close()


class _EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 - asyncio's own
        self.transport.sendto(data, addr)


async def serve(tcp: Sequence[int], udp: Sequence[int]) -> None:
    """Echo lines on TCP ports and datagrams on UDP ports until killed."""
    loop = asyncio.get_running_loop()
    servers = [await asyncio.start_server(_echo, None, port) for port in tcp]
    for port in udp:
        await loop.create_datagram_endpoint(_EchoDatagrams, local_addr=("0.0.0.0", port))  # noqa: S104 - a lab
    say(event="ready", tcp=list(tcp), udp=list(udp))
    await asyncio.gather(*(server.serve_forever() for server in servers))


# -- probes ---------------------------------------------------------------------------------------


async def _try_tcp(host: str, port: int, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"probe\n")
            answer = await reader.readline()
            writer.close()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return type(error).__name__ if not error.strerror else error.strerror
    return "open" if answer == b"probe\n" else "closed"


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: Any) -> None:  # noqa: ANN401 - asyncio's own
        self._settle("open" if data == b"probe" else "closed")

    def error_received(self, exc: Exception) -> None:
        self._settle(type(exc).__name__)

    def _settle(self, word: str) -> None:
        if not self.heard.done():
            self.heard.set_result(word)


async def _try_udp(host: str, port: int, seconds: float) -> str:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Answer, remote_addr=(host, port))
    try:
        for _ in range(3):
            transport.sendto(b"probe")
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(protocol.heard), seconds / 3)
    finally:
        transport.close()
    return "timeout"


async def probe(targets: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Try each target {host, port, proto} and add what was observed: "open" or why not."""
    gate = asyncio.Semaphore(PROBES_AT_ONCE)

    async def one(target: dict[str, Any]) -> dict[str, Any]:
        attempt = _try_udp if target.get("proto") == "udp" else _try_tcp
        async with gate:
            return {**target, "observed": await attempt(target["host"], target["port"], seconds)}

    return list(await asyncio.gather(*(one(target) for target in targets)))


# -- flows ----------------------------------------------------------------------------------------


async def _connect(
    host: str, port: int, patience: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    until = time.monotonic() + patience
    while True:
        try:
            return await asyncio.wait_for(asyncio.open_connection(host, port), 0.5)
        except (OSError, TimeoutError):
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(0.02)


async def flow(host: str, port: int, *, interval: float, stall: float, patience: float) -> None:
    """Keep one connection busy and tell when it began, when it last answered, and how it ended.

    Args:
        host: the address to connect to.
        port: its TCP port.
        interval: seconds between two lines.
        stall: seconds without an answer after which the flow counts as cut.
        patience: seconds to go on trying to connect.
    """
    reader, writer = await _connect(host, port, patience)
    say(event="connected", at=time.monotonic())
    last, count, how = time.monotonic(), 0, "closed"
    try:
        while True:
            writer.write(b"tick %d\n" % count)
            answer = await asyncio.wait_for(reader.readline(), stall)
            if not answer:
                break
            last, count = time.monotonic(), count + 1
            if count % 10 == 1:
                say(event="alive", at=last, count=count)
            await asyncio.sleep(interval)
    except TimeoutError:
        how = "stalled"
    except OSError as error:
        how = error.strerror or type(error).__name__
    say(event="ended", how=how, last=last, at=time.monotonic(), count=count)


# -- command line ---------------------------------------------------------------------------------


def _ports(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m node.lab.traffic", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("serve", help="echo on ports until killed")
    server.add_argument("--tcp", type=_ports, default=[])
    server.add_argument("--udp", type=_ports, default=[])
    prober = roles.add_parser("probe", help="read targets as JSON on stdin, try each once")
    prober.add_argument("--seconds", type=float, default=2.0)
    flower = roles.add_parser("flow", help="keep one TCP connection busy until it ends")
    flower.add_argument("host")
    flower.add_argument("port", type=int)
    flower.add_argument("--interval", type=float, default=0.02)
    flower.add_argument("--stall", type=float, default=2.0)
    flower.add_argument("--patience", type=float, default=10.0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one role."""
    arguments = _arguments(argv)
    with contextlib.suppress(KeyboardInterrupt):
        if arguments.role == "serve":
            asyncio.run(serve(arguments.tcp, arguments.udp))
        elif arguments.role == "probe":
            targets = json.load(sys.stdin)
            say(results=asyncio.run(probe(targets, arguments.seconds)))
        else:
            asyncio.run(
                flow(
                    arguments.host,
                    arguments.port,
                    interval=arguments.interval,
                    stall=arguments.stall,
                    patience=arguments.patience,
                )
            )


if __name__ == "__main__":
    main()
