"""One node's mesh: verified state, the policy in force, and what is known about paths.

Events of the gossip core come in, are made durable, and mark what has to be worked out again. A
`NodeView` of it goes out to the engine. Nothing here touches the kernel.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol, TypeAlias

from crypto.clock import Interval
from crypto.errors import HedgerowError, LocalError
from crypto.invite import Bootstrap
from crypto.objects import Device, Sponsor
from crypto.signing import ObjectType, decode
from crypto.trust import ReadyBundle
from gossip import events
from gossip.events import Address, Event
from node import log, restore
from node.alarms import Alarms
from node.clock import Clock
from node.engine.view import Bundle, NodeView, interface_name
from node.restore import Restored
from node.state import StateError, Store
from policy.checks import run_tests

# Changes that come together are worked out together; what takes rights away does not wait.
COALESCE_SECONDS = 0.02
URGENT = frozenset({ObjectType.REVOKE, ObjectType.ROOT})

# Heads that ask for more than this are for later programs.
CLIENT_VERSION = 1

# Beyond this the file is rid of what was replaced, or a member that dates its word back again and
# again would fill the disk.
REPLACED_MAX = 1_024

OBSERVATIONS_MAX = 16
FAILURES_SHOWN_MAX = 3

Kept: TypeAlias = tuple[str, bytes, bytes]
"""One object on disk: type, id, and the bytes as received."""


class TrustUser(Protocol):
    """Whoever has to know that this node adopted or refused a bundle: the gossip core."""

    def trust_changed(self, now: float) -> None:
        """Look at trust again."""


class Mesh:
    """The verified state of one node while its daemon runs.

    Args:
        restored: what the state file held.
        store: where whatever comes is kept.
        clock: the node's clock.
        alarms: where to say what a person should know.
        wireguard_port: the UDP port that the outside sees.
        control_port: the port of the control socket behind it.
    """

    def __init__(
        self,
        restored: Restored,
        store: Store,
        clock: Clock,
        alarms: Alarms,
        *,
        wireguard_port: int,
        control_port: int,
    ) -> None:
        self.trust = restored.trust
        self.trust.noticed = self.touch
        self.bundle = restored.bundle
        self.store = store
        self.clock = clock
        self.alarms = alarms
        self.wireguard_port = wireguard_port
        self.control_port = control_port
        self.paths: dict[bytes, Address] = {}
        self.underlay: frozenset[str] = frozenset()
        self.pings: dict[int, asyncio.Future[float | None]] = {}
        self.bundle_ready = asyncio.Event()
        self.core: TrustUser | None = None
        self.enrolled = restored.device
        self._observed: dict[str, None] = {}
        self._unsaved = False
        self._written, self._written_max = 0, REPLACED_MAX
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._log = log.get("mesh")

    @property
    def interface(self) -> str:
        """The name of the tunnel."""
        return interface_name(self.enrolled.device_id)

    @property
    def me(self) -> Device:
        """This device: as it is in force, else as it was enrolled."""
        known = self.trust.devices(self.clock.interval()).get(self.enrolled.device_id)
        return known or self.enrolled

    # What changes.

    def touch(self, *, urgent: bool = False) -> None:
        """Say that something has to be worked out again."""
        self._changed.set()
        if urgent:
            self._urgent.set()

    async def wait(self, seconds: float) -> None:
        """Wait until something has changed, or this long. What comes together counts once."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        try:
            async with asyncio.timeout(COALESCE_SECONDS):
                await self._urgent.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        self._urgent.clear()

    def take(self, event: Event) -> None:
        """Take one event of the gossip core. What it brought is durable when this returns."""
        match event:
            case events.ObjectAdmitted(kind, object_id, raw):
                self._save(self._worth_keeping(kind, object_id, raw))
                self.touch(urgent=kind in URGENT)
            case events.PartAdmitted(digest, data):
                self._save_part(digest, data)
            case events.BundleReady():
                self.bundle_ready.set()
            case events.PathChanged(device_id, address):
                self._path(device_id, address)
            case events.Observed(address):
                self._observe(address)
            case events.JoinAccepted(sponsor):
                self._log.info("joined", sponsor=sponsor.hex()[:16])
                self.touch()
            case events.PingResult(token, _, rtt_seconds):
                waiting = self.pings.pop(token, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(rtt_seconds)
            case events.Alarm(code, text):
                self.alarms.stand(code, text)
                self.touch()
            case events.MemberChanged(device_id, state):
                self._log.debug("member", id=device_id.hex()[:16], state=str(state))
            case events.Synced():
                self._log.debug("in step with a peer")

    def _worth_keeping(self, kind: ObjectType, object_id: bytes, raw: bytes) -> list[Kept]:
        """Return what an object adds on disk.

        Whoever holds an invite can make any number of devices, so one is kept only with the word
        of the member that lets it in. This device's own was kept when it joined.
        """
        found = [(str(kind), object_id, raw)]
        if kind is ObjectType.DEVICE and self.trust.is_pending(object_id):
            return []
        if kind is ObjectType.SPONSOR:
            device_id = Sponsor.from_payload(decode(raw).payload).device
            device = self.trust.raw(device_id)
            if device is not None:
                found.insert(0, (str(ObjectType.DEVICE), device_id, device))
        return found

    def _save(self, objects: Sequence[Kept]) -> None:
        """Keep objects. A disk that does not take them is an alarm; what they say holds anyway."""
        try:
            with self.store.transaction():
                self.store.add_objects(objects)
                if self.clock.raise_floor(self.trust.floor):
                    self.store.put_number(restore.FLOOR, int(self.clock.floor))
        except StateError as error:
            self._unsaved = True
            self.alarms.stand_error("state-not-saved", error)
        self._written += len(objects)
        if self._written > self._written_max:
            self._tidy()

    def _save_part(self, digest: bytes, data: bytes) -> None:
        try:
            self.store.add_part(digest, data)
        except StateError as error:
            self._unsaved = True
            self.alarms.stand_error("state-not-saved", error)

    def save_rest(self) -> None:
        """Write what could not be written before, if there is any."""
        if not self._unsaved:
            return
        try:
            with self.store.transaction():
                self.store.add_objects(
                    (str(kind), key, raw) for kind, key, raw in self.trust.objects()
                )
                for digest, data in restore.known_parts(self.trust):
                    self.store.add_part(digest, data)
        except StateError:
            return
        self._unsaved = False
        self.alarms.clear("state-not-saved")

    def enrol_again(self, device: Device, raw: bytes, now: Interval) -> None:
        """Let a newer object of this device stand for it from now on.

        Raises:
            PeerError: it does not hold. State unchanged.
        """
        admitted = self.trust.admit(raw, now)
        try:
            with self.store.transaction():
                self.store.add_objects([(str(admitted.type), admitted.id, raw)])
                self.store.put(restore.DEVICE, admitted.id)
        except StateError as error:
            self._unsaved = True
            self.alarms.stand_error("state-not-saved", error)
        self.enrolled = device
        self.alarms.clear("join-refused")
        self.touch(urgent=True)

    def _path(self, device_id: bytes, address: Address | None) -> None:
        if address is None:
            self.paths.pop(device_id, None)
        else:
            self.paths[device_id] = address
            self.alarms.clear("alone")
            self._remember(device_id, address)
        self.touch()

    def _remember(self, device_id: bytes, address: Address) -> None:
        """Keep where a member was reached, to find the mesh again after a restart."""
        device = self.trust.devices(self.clock.interval()).get(device_id)
        if device is None:
            return
        member = Bootstrap(
            host=address[0],
            port=address[1],
            device_id=device_id,
            gossip_public=device.gossip_public,
        )
        try:
            self.store.remember_member(member, heard=self.clock.wall())
        except StateError as error:
            self.alarms.stand_error("state-not-saved", error)

    def _observe(self, address: Address) -> None:
        before = self.is_natted
        self._observed.pop(address[0], None)
        self._observed[address[0]] = None
        if len(self._observed) > OBSERVATIONS_MAX:
            del self._observed[next(iter(self._observed))]
        if self.is_natted != before:
            self.touch()

    @property
    def is_natted(self) -> bool:
        """Whether others see us at an address that no interface of this machine has."""
        return any(ip not in self.underlay for ip in self._observed if ip_address(ip).version == 4)

    # The bundle.

    async def consider(self) -> None:
        """Adopt the candidate bundle if it is whole and its own tests pass, else refuse it.

        Whatever fails, the bundle in force stays in force.
        """
        while (ready := self.trust.ready()) is not None:
            try:
                # Tests of a large policy take a while, and gossip must not stand still for it.
                bundle = await asyncio.to_thread(prepare, ready)
            except HedgerowError as error:
                self._refuse(ready, str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end every daemon
                self._log.exception("a bundle cannot be judged")
                self._refuse(ready, f"this program fails over it ({error!r})")
            else:
                self._adopt(ready, bundle)

    def _refuse(self, ready: ReadyBundle, reason: str) -> None:
        if self._is_candidate(ready):
            name = f"{ready.head.epoch}.{ready.head.version}"
            self.trust.refuse(ready.head_id, reason)
            self.alarms.stand(
                "bundle-refused", f"bundle {name} is not used, the one before stays: {reason}"
            )
            self._tell_core()

    def _adopt(self, ready: ReadyBundle, bundle: Bundle) -> None:
        """Adopt: first on disk, so that a crash from here on starts with the new bundle."""
        if not self._is_candidate(ready):
            return
        try:
            with self.store.transaction():
                for name, data in ready.parts.items():
                    self.store.add_part(ready.head.parts[name].hash, data)
                self.store.put(restore.ADOPTED, ready.head_id)
        except StateError as error:
            self._unsaved = True
            self.alarms.stand_error("state-not-saved", error)
        self.trust.adopt(ready.head_id)
        for alarm in self.trust.set_directory(bundle.directory):
            self.alarms.stand(alarm.code, alarm.text)
        self.bundle = bundle
        self.alarms.clear("bundle-refused")
        self._log.info("bundle adopted", epoch=ready.head.epoch, version=ready.head.version)
        self._tidy()
        self._tell_core()
        self.touch(urgent=True)

    def _tell_core(self) -> None:
        if self.core is not None:
            self.core.trust_changed(self.clock.monotonic())

    def _is_candidate(self, ready: ReadyBundle) -> bool:
        """Whether it still is what would be adopted: a newer one may have come meanwhile."""
        now = self.trust.ready()
        return now is not None and now.head_id == ready.head_id

    def _tidy(self) -> None:
        """Make the file hold what trust holds: no replaced objects, and all that were settled.

        This device's own object stays whatever took its place: a start begins with it.
        """
        held = {key: (str(kind), key, raw) for kind, key, raw in self.trust.objects()}
        self._written, self._written_max = 0, max(REPLACED_MAX, len(held))
        try:
            with self.store.transaction():
                on_disk = {key for _, key, _ in self.store.objects()}
                own = self.store.get(restore.DEVICE)
                self.store.drop_objects(on_disk - held.keys() - {own})
                lacking = held.keys() - on_disk
                self.store.add_objects(
                    kept
                    for key, kept in held.items()
                    if key in lacking and not self.trust.is_pending(key)
                )
                self.store.keep_parts(digest for digest, _ in restore.known_parts(self.trust))
        except StateError as error:
            self.alarms.stand_error("state-not-saved", error)

    # What the engine sees.

    def view(self, now: Interval) -> NodeView:
        """Return what the engine looks at."""
        devices = self.trust.devices(now)
        return NodeView(
            mesh_id=self.trust.mesh_id,
            pool4=self.trust.pool4,
            me=self.me,
            wireguard_port=self.wireguard_port,
            control_port=self.control_port,
            devices=devices,
            vouched=frozenset(
                device_id for device_id in devices if self.trust.name_is_authoritative(device_id)
            ),
            bundle=self.bundle,
            freshness=self.trust.freshness(now),
            paths=self.paths,
            natted=frozenset({self.me.device_id}) if self.is_natted else frozenset(),
        )

    def look_around(self, now: Interval) -> None:
        """Let the alarms stand that only time and state together give."""
        state = self.trust.freshness(now)
        in_force, reason = self.trust.device_state(self.me.device_id, now)
        alarms = self.alarms
        alarms.set(
            "bundle-stale",
            "no newer bundle has come for too long; ask an admin to sign one",
            stands=state == "stale",
        )
        alarms.set(
            "bundle-expired",
            "the bundle has expired: only static rules hold; ask an admin to sign a new one",
            stands=state == "expired",
        )
        alarms.set("not-in-force", f"this device is not in force: {reason}", stands=not in_force)
        if in_force:
            alarms.clear("join-refused")
            alarms.clear("removed")
        alarms.set(
            "clock-stepped",
            "this machine's clock has jumped: grants with an end wait until it is right again; "
            "set the clock, and restart the daemon if it is right now",
            stands=self.clock.stepped,
        )
        alarms.set(
            "clock-behind",
            "this machine's clock shows a time before the newest signed object; set it",
            stands=self.clock.behind_floor,
        )


def prepare(ready: ReadyBundle) -> Bundle:
    """Decode a bundle and run its own tests.

    Raises:
        PeerError: it is not one, or this program is too old for it.
        LocalError: a test fails.
    """
    if ready.head.min_client_version > CLIENT_VERSION:
        raise LocalError(
            f"it asks for client version {ready.head.min_client_version}, this is "
            f"{CLIENT_VERSION}: install a newer hedgerow"
        )
    bundle = restore.decode_parts(ready.parts, expires=ready.head.expires)
    failures = run_tests(bundle.policy, bundle.directory)
    if failures:
        shown = "; ".join(failure.message for failure in failures[:FAILURES_SHOWN_MAX])
        raise LocalError(f"{len(failures)} of its own tests fail: {shown}")
    return bundle
