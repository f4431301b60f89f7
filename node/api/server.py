"""The daemon's HTTP interface, on its unix socket.

    GET  /v1/status   the node, its bundle and its peers
    GET  /v1/peers    the peers alone
    GET  /v1/why      ?source=…&destination=…&service=tcp/22
    POST /v1/ping     {"name": …}
    POST /v1/publish  the bytes of a bundle (*.hgb) or of one signed object
    POST /v1/down     leave the mesh, remove interface and rules, stop

An error is {"error": sentence, "remedy": what to do}.
"""

import json
import socket
from typing import Any, Protocol

from crypto.errors import HedgerowError
from node import lean
from node.api import guard

lean.bare("aiohttp")

from aiohttp import web  # noqa: E402 - only once the package is bare
from aiohttp.typedefs import Handler, Middleware  # noqa: E402

BODY_BYTES_MAX = 16 * 2**20

Reply = dict[str, Any]


class Service(Protocol):
    """What the daemon answers with."""

    async def status(self) -> Reply:
        """Return the node, its bundle and its peers."""
        ...

    def why(self, source: str, destination: str, service: str) -> Reply:
        """Explain one decision as it would be taken now."""
        ...

    async def ping(self, name: str) -> Reply:
        """Measure the path to a device."""
        ...

    async def publish(self, data: bytes) -> Reply:
        """Take in signed objects, and pass them on."""
        ...

    async def down(self) -> Reply:
        """Leave the mesh and begin to stop."""
        ...


def _error(status: int, message: str, remedy: str = "") -> web.Response:
    return web.json_response({"error": message, "remedy": remedy}, status=status)


def _guarded(group: int | None) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        connection = transport.get_extra_info("socket") if transport else None
        if connection is None or not guard.may_call(guard.caller_of(connection), group):
            return _error(403, "this user may not talk to the daemon", "run it as root")
        reason = guard.refusal(request.headers)
        if reason is not None:
            return _error(403, reason)
        try:
            return await handler(request)
        except HedgerowError as error:
            return _error(400, error.message, error.remedy)

    return middleware


class _Routes:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response(await self._service.status())

    async def peers(self, _: web.Request) -> web.Response:
        return web.json_response({"peers": (await self._service.status())["peers"]})

    async def why(self, request: web.Request) -> web.Response:
        query = request.query
        names = [query.get(name, "") for name in ("source", "destination", "service")]
        if not all(names):
            return _error(400, "source, destination and service are needed")
        return web.json_response(self._service.why(*names))

    async def ping(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = None
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str):
            return _error(400, 'the body is not {"name": …}')
        return web.json_response(await self._service.ping(name))

    async def publish(self, request: web.Request) -> web.Response:
        return web.json_response(await self._service.publish(await request.read()))

    async def down(self, _: web.Request) -> web.Response:
        return web.json_response(await self._service.down())


def application(service: Service, group: int | None) -> web.Application:
    """Return the interface of a service; `group` may use it besides root."""
    app = web.Application(middlewares=[_guarded(group)], client_max_size=BODY_BYTES_MAX)
    routes = _Routes(service)
    app.add_routes(
        [
            web.get("/v1/status", routes.status),
            web.get("/v1/peers", routes.peers),
            web.get("/v1/why", routes.why),
            web.post("/v1/ping", routes.ping),
            web.post("/v1/publish", routes.publish),
            web.post("/v1/down", routes.down),
        ]
    )
    return app


class Server:
    """The interface while it is served.

    Args:
        service: who answers.
        channel: the listening socket, from `guard.listen`.
        group: the group that may use it besides root.
    """

    def __init__(self, service: Service, channel: socket.socket, group: int | None) -> None:
        self._runner = web.AppRunner(application(service, group), access_log=None)
        self._channel = channel

    async def start(self) -> None:
        """Begin to answer."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._channel).start()

    async def stop(self) -> None:
        """Stop answering; calls under way get a moment to finish."""
        await self._runner.cleanup()
