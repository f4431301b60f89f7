"""The daemon: it wires socket, timer, drivers and interface to the cores, and nothing else.

Starting asks first for everything that may be missing, and changes the machine only then. Being
stopped, or killed, leaves firewall and tunnel in force: allowed traffic goes on, grants with an
end die on time in the kernel, and the next start adopts what stands and cuts nothing.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from random import SystemRandom

from crypto.clock import Interval
from crypto.errors import LocalError, PeerError
from crypto.invite import Bootstrap
from gossip.config import Config
from gossip.events import MemberView, Seed
from gossip.machine import Machine
from node import log, rendezvous
from node.api.server import Server
from node.clockwatch import ClockWatch
from node.driver import Driver
from node.engine.compute import Computed, Engine
from node.engine.lockout import SESSION_SECONDS
from node.kernel import links
from node.mesh import Mesh
from node.netwatch import NetWatch
from node.notify import notify
from node.paths import Paths
from node.readdress import Readdresser
from node.reconcile import Reconciler
from node.service import NodeService
from node.startup import Parts, prepare
from node.tablewatch import TableWatch
from node.unlock import Unlocker

# How often to look whether our table is as it should be: we are told at once when another program
# changes it, and where the system does not tell, we look more often.
VERIFY_SECONDS = 900.0
VERIFY_SECONDS_UNTOLD = 60.0
# After a foreign change: until the change is whole, and until the repair is looked at.
TABLE_SETTLE_SECONDS = 0.5
TABLE_REPAIR_SECONDS = 60.0
# However little happens, the kernel's deadlines follow a clock that is being slewed (500 ppm).
APPLY_SECONDS = 300.0
RETRY_SECONDS = 2.0
WAIT_SECONDS_MIN = 0.01
# Changes of the network come in swarms; and should one go unheard, it is seen after a while.
NETWORK_SETTLE_SECONDS = 0.2
NETWORK_SECONDS = 900.0
# Half of the time without a handshake after which a tunnel is looked at more closely.
UNLOCK_SECONDS = SESSION_SECONDS / 2
# For the farewell to leave the machine before socket and tunnel go.
FAREWELL_SECONDS = 0.2


def main(paths: Paths, *, port: int | None = None) -> None:
    """Run the node until it is told to stop.

    Raises:
        LocalError: something it needs is missing. Nothing was changed.
    """
    asyncio.run(run(paths, port=port))


async def run(paths: Paths, *, port: int | None = None) -> None:
    """Run the node until SIGTERM, SIGINT or `hedgerow down`.

    Raises:
        LocalError: something it needs is missing. Nothing was changed.
    """
    with ExitStack() as stack:
        daemon = Daemon(await prepare(paths, stack, port=port))
        try:
            await daemon.start()
            await daemon.serve()
        finally:
            await daemon.stop()


class Daemon:
    """One running node.

    Args:
        parts: what `prepare` found and opened.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._log = log.get("daemon")
        self._stop = asyncio.Event()
        self._moved = asyncio.Event()
        self._table_written = asyncio.Event()
        self._writers: set[int] = set()
        self._verify_seconds = VERIFY_SECONDS_UNTOLD
        self._engine = Engine()
        self._mesh = Mesh(
            parts.restored,
            parts.store,
            parts.clock,
            parts.alarms,
            wireguard_port=parts.wireguard_port,
            control_port=parts.control.port,
        )
        self._driver = Driver(parts.control, parts.clock, self._mesh.take)
        self._machine = self._born(parts.boot_ms)
        self._reconciler = Reconciler(parts.firewall, parts.wireguard, parts.alarms)
        self._service = NodeService(
            self._mesh, self._machine, self._driver, parts.wireguard, leave=self._leave
        )
        self._server = Server(self._service, parts.channel, parts.group)
        self._unlocker = Unlocker(self._mesh, self._reconciler, self._members)
        self._device_raw = parts.restored.device_raw
        self._readdresser = Readdresser(parts.state, self._mesh, parts.keys)

    def _born(self, boot_ms: int) -> Machine:
        """Return a gossip core at the beginning of a life with this number."""
        parts = self._parts
        return Machine(
            keys=parts.keys,
            trust=self._mesh.trust,
            config=Config.for_wan(len(self._mesh.trust.devices(parts.clock.interval()))),
            random=SystemRandom(),
            entropy=os.urandom,
            sink=self._driver,
            now=parts.clock.monotonic(),
            boot_ms=boot_ms,
        )

    def _members(self) -> Mapping[bytes, MemberView]:
        return self._machine.members()

    async def start(self) -> None:
        """Install what the state on disk allows, then meet the others and begin to answer.

        Raises:
            LocalError: the kernel did not take firewall or tunnel.
        """
        self._mesh.core = self._machine
        await self._mesh.consider()
        now = self._parts.clock.interval()
        computed = self._engine.compute(self._mesh.view(now), now)
        await self._reconciler.start(computed.desired, self._parts.keys.wireguard_private, now.hi)
        self._driver.attach(self._machine)
        await self._look_at_network()
        self._want(computed)
        await self._server.start()
        self._log.info(
            "ready",
            mesh=self._mesh.trust.mesh_name,
            name=self._mesh.me.name,
            address=str(self._mesh.me.address4),
            port=self._mesh.wireguard_port,
            backend=self._parts.wireguard.backend,
        )
        notify("READY=1")

    async def serve(self) -> None:
        """Work until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        with ExitStack() as stack:
            self._watch(stack)
            await self._work()

    def _watch(self, stack: ExitStack) -> None:
        """Listen to the kernel: for the clock, the network and the firewall's table."""
        loop = asyncio.get_running_loop()

        def listen(watch: ClockWatch | NetWatch | TableWatch, heard: Callable[[], None]) -> None:
            loop.add_reader(watch, heard)
            stack.callback(watch.close)
            stack.callback(loop.remove_reader, watch)

        clock_watch, net_watch = ClockWatch(), NetWatch()
        listen(clock_watch, lambda: self._clock_jumped(clock_watch))
        listen(net_watch, lambda: self._network_changed(net_watch))
        with suppress(OSError):
            table_watch = TableWatch(self._parts.firewall.table)
            listen(table_watch, lambda: self._table_changed(table_watch))
            self._verify_seconds = VERIFY_SECONDS

    async def _work(self) -> None:
        """Do all that there is to do at once, until told to stop."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work)
                for work in (
                    self._driver.read(),
                    self._keep_applied(),
                    self._keep_considering(),
                    self._keep_verified(),
                    self._keep_looking(),
                    self._keep_joining(),
                    self._keep_unlocked(),
                    self._keep_watchdog(),
                )
            ]
            await self._stop.wait()
            notify("STOPPING=1")
            for task in tasks:
                task.cancel()

    async def stop(self) -> None:
        """Close what is open. Firewall and tunnel stay in force."""
        self._driver.stop()
        await self._server.stop()
        self._parts.control.close()
        await asyncio.sleep(0)

    async def _keep_considering(self) -> None:
        """Check bundles as they become whole. A revocation need not wait for their tests."""
        while True:
            await self._mesh.bundle_ready.wait()
            self._mesh.bundle_ready.clear()
            await self._mesh.consider()

    async def _keep_applied(self) -> None:
        """Work out and apply, on every change and whenever time alone changes something."""
        while True:
            now = self._parts.clock.interval()
            self._mesh.save_rest()
            self._driver.set_clock()
            self._offer_early_heads(now)
            await self._take_another_address(now)
            computed = self._engine.compute(self._mesh.view(now), now)
            done = await self._reconciler.apply(computed.desired, now.hi)
            self._want(computed)
            self._mesh.look_around(now)
            waits = [APPLY_SECONDS]
            if computed.next_change is not None:
                waits.append(computed.next_change - now.hi)
            change = self._mesh.trust.next_change(now)
            if change is not None:
                waits.append(change - (now.lo + now.hi) / 2)
            soon = (self._reconciler.greeting_in(now.hi), self._mesh.trust.early_in(now))
            waits += [wait for wait in soon if wait is not None]
            if not done:
                waits.append(RETRY_SECONDS)
            await self._mesh.wait(max(WAIT_SECONDS_MIN, min(waits)))

    def _offer_early_heads(self, now: Interval) -> None:
        """Take in the heads that came before their time, now that it has come."""
        for raw in self._mesh.trust.take_early(now):
            with suppress(PeerError):
                self._driver.ask(lambda at, raw=raw: self._machine.publish(at, raw))  # type: ignore[misc]

    async def _take_another_address(self, now: Interval) -> None:
        """Join again with another address if another device has ours."""
        raw = self._readdresser.look(now, self._parts.clock.monotonic())
        if raw is not None:
            self._device_raw = raw
            await self._join(self._parts.store.members())

    async def _keep_verified(self) -> None:
        """Look whether the kernel still holds what was applied, and have it repaired if not.

        At once when another program has changed our table, down to the single grant; now and
        then its rules, whatever was heard.
        """
        seconds = self._verify_seconds
        while True:
            foreign = await self._foreign_change(seconds)
            intact = await self._reconciler.verify(elements=foreign)
            seconds = self._verify_seconds if intact else TABLE_REPAIR_SECONDS
            if not intact:
                self._mesh.touch(urgent=True)

    async def _foreign_change(self, seconds: float) -> bool:
        """Wait until another program has changed our table, or this long; say which it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self._table_written.wait()
                    # A program that we have started is known as ours when it has ended.
                    await asyncio.sleep(TABLE_SETTLE_SECONDS)
                    self._table_written.clear()
                    strangers = self._writers - self._parts.firewall.writers
                    self._writers.clear()
                    if strangers:
                        return True
        return False

    async def _keep_looking(self) -> None:
        """Notice when this machine's addresses change."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(NETWORK_SECONDS):
                    await self._moved.wait()
                await asyncio.sleep(NETWORK_SETTLE_SECONDS)
            self._moved.clear()
            await self._look_at_network()

    async def _keep_unlocked(self) -> None:
        """Notice tunnels that do not come up although both ends are there."""
        while True:
            await asyncio.sleep(UNLOCK_SECONDS)
            if await self._unlocker.look(self._parts.clock.monotonic()):
                await self._begin_new_life()

    async def _begin_new_life(self) -> None:
        """Go on with a new gossip core, as after a restart: the others see a higher number.

        Nothing but gossip begins anew; tunnel and rules stay as they are.
        """
        store, clock = self._parts.store, self._parts.clock
        self._log.warning("gossip begins a new life, for others to renew their end of a tunnel")
        self._machine = self._born(store.next_boot(int(clock.wall() * 1_000)))
        self._service.machine = self._mesh.core = self._machine
        self._driver.attach(self._machine)
        self._mesh.underlay = frozenset()
        await self._look_at_network()
        wanted = self._service.wanted
        self._driver.ask(lambda now: self._machine.want(now, wanted))
        await self._join(store.members())

    async def _join(self, members: Iterable[Bootstrap]) -> None:
        """Say hello to members, wherever their names lead now."""
        seeds, _ = await rendezvous.resolve(members)
        self._driver.ask(lambda now: self._machine.join(now, seeds, device=self._device_raw))

    async def _keep_watchdog(self) -> None:
        """Tell the service manager that the loop still turns, as often as it asks."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        while microseconds.isdigit():
            notify("WATCHDOG=1")
            await asyncio.sleep(int(microseconds) / 1e6 / 2)

    async def _look_at_network(self) -> None:
        """Tell the core and the engine where we are."""
        try:
            found = await links.underlay_addresses(exclude=self._mesh.interface)
        except LocalError as error:
            self._parts.alarms.stand_error("network", error)
            return
        except OSError as error:
            self._parts.alarms.stand("network", str(error))
            return
        self._parts.alarms.clear("network")
        addresses = frozenset(map(str, found))
        if addresses == self._mesh.underlay:
            return
        self._mesh.underlay = addresses
        port = self._mesh.wireguard_port
        endpoints = [(str(address), port) for address in found]
        self._driver.ask(lambda now: self._machine.set_endpoints(now, endpoints))
        self._log.info("addresses", addresses=sorted(addresses))
        self._mesh.touch()

    async def _keep_joining(self) -> None:
        """Give the core the members to find the mesh through."""
        members = self._parts.store.members()

        def join(seeds: list[Seed]) -> None:
            device = self._device_raw
            self._driver.ask(lambda now: self._machine.join(now, seeds, device=device))

        await rendezvous.keep_joining(members, join)

    def _want(self, computed: Computed) -> None:
        """Have the core keep a direct path to every device that a rule names."""
        wanted = frozenset(peer.device_id for peer in computed.desired.peers.values())
        if wanted != self._service.wanted:
            self._service.wanted = wanted
            self._driver.ask(lambda now: self._machine.want(now, wanted))

    def _clock_jumped(self, watch: ClockWatch) -> None:
        """Work everything out again at once: the clock was set, or the machine was asleep."""
        if watch.acknowledge():
            self._log.warning("the clock was set, or this machine was asleep")
            self._mesh.touch(urgent=True)

    def _table_changed(self, watch: TableWatch) -> None:
        writers = watch.acknowledge()
        if writers:
            self._writers |= writers
            self._table_written.set()

    def _network_changed(self, watch: NetWatch) -> None:
        if watch.acknowledge():
            self._moved.set()

    async def _leave(self) -> None:
        """Say farewell, remove interface, routes and rules, and begin to stop."""
        self._driver.ask(self._machine.leave)
        await asyncio.sleep(FAREWELL_SECONDS)
        await self._reconciler.stop()
        self._stop.set()
