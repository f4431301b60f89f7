"""The gossip core: one member of the mesh as a machine with three inputs.

A datagram came (`receive`), time passed (`tick`, when `next_deadline` says so), or the driver
wants something (one method per request). Effects go to a `Sink`: datagrams and events. Nothing
here waits, reads a clock, draws its own chance or touches a socket; the daemon and the simulator
both drive it. `docs/gossip.md` describes datagrams, states and timers.

Received datagrams pass four steps in this order: decode, verify, admit, apply. State changes only
in the last, so what is refused leaves no trace but a counter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from crypto.errors import PeerError
from crypto.identity import DeviceKeys
from crypto.trust import Trust
from gossip import (
    admission,
    broadcast,
    bulk,
    hello,
    outreach,
    paths,
    probe,
    reconcile,
    record,
    roster,
    session,
    suspicion,
    wire,
)
from gossip import messages as m
from gossip.anchors import Anchors
from gossip.config import Config
from gossip.core import Core, Entropy
from gossip.events import Address, Alarm, MemberState, MemberView, Seed, Sink
from gossip.intake import Intake
from gossip.members import Members
from gossip.statements import Statements
from gossip.transport import Transport

if TYPE_CHECKING:
    from random import Random

ALONE: Final = "alone"
TIMERS_PER_TICK_MAX: Final = 100_000
"""One tick never runs more timers than this: a bound on a loop that should end by itself."""

_ASKED_ONCE: Final = frozenset({m.Ping, m.PingRequest})
"""Answered wherever they come from, so one of each in a datagram: `source` may be anybody's."""

_Handler = Callable[[float, bytes, Address, m.Message], None]


class Machine:
    """One member.

    Args:
        keys: This device's private keys.
        trust: Verified state of the mesh. The machine admits what it receives; adopting and
            refusing bundles is the driver's.
        config: Timers and factors.
        random: Seeded chance for choices that need not be secret.
        entropy: Returns as many unguessable bytes as asked for.
        sink: Takes datagrams and events.
        now: Monotonic seconds.
        boot_ms: Wall clock now, in milliseconds; higher at each start of this device.
    """

    def __init__(
        self,
        *,
        keys: DeviceKeys,
        trust: Trust,
        config: Config,
        random: "Random",
        entropy: Entropy,
        sink: Sink,
        now: float,
        boot_ms: int,
    ) -> None:
        core = Core(
            keys=keys, trust=trust, config=config, random=random, entropy=entropy, sink=sink
        )
        core.set_clock(boot_ms / 1_000 - now, 0.0)
        core.heard_at = now
        core.members = Members(core)
        core.sessions = session.Sessions(
            mesh_id=trust.mesh_id,
            device_id=keys.device_id,
            entropy=entropy,
            overlap_seconds=config.rotate_overlap_seconds,
            settle_seconds=config.rotate_settle_seconds,
        )
        core.broadcast = broadcast.Broadcast(core)
        core.paths = paths.Paths(core)
        core.anchors = Anchors(core)
        core.outreach = outreach.Outreach(core)
        core.transport = Transport(core)
        core.record = record.OwnRecord(core, boot_ms)
        core.intake = Intake(core)
        core.statements = Statements(core)
        core.roster = roster.Roster(core)
        core.suspicion = suspicion.Suspicion(core)
        core.prober = probe.Prober(core)
        core.reconciler = reconcile.Reconciler(core)
        core.bulk = bulk.Bulk(core)
        core.admission = admission.Admission(core)
        self._core = core
        self._handlers = self._message_handlers()
        self._timer_handlers = self._make_timer_handlers()
        self._alone = False
        core.timers.set(record.ROTATE, now + config.rotate_seconds)
        core.timers.set(ALONE, now + config.alone_seconds)
        core.roster.look(now)
        core.record.renew(now)

    # Inputs.

    def receive(self, now: float, source: Address, data: bytes) -> None:
        """Take a datagram; it never raises, and what is not authentic gets silence."""
        core = self._core
        core.count("datagrams_received")
        kind = data[0] if data else 0
        if kind == session.DATA:
            self._receive_data(now, source, data)
        elif kind == hello.HELLO:
            core.admission.on_hello(now, source, data)
        elif kind == hello.REPLY:
            core.admission.on_reply(now, source, data)
        else:
            core.count("datagrams_unknown")
        core.broadcast.flush_fresh(now)

    def tick(self, now: float) -> None:
        """Run the timers that are due; being late is a sign that this node is not well."""
        core = self._core
        due = core.timers.next()
        late = core.config.probe_interval_seconds * core.config.late_tick_share
        if due is not None and now - due > late:
            core.count("ticks_late")
            core.worsen(1)
        for _ in range(TIMERS_PER_TICK_MAX):
            key = core.timers.pop(now)
            if key is None:
                break
            self._timer_handlers[key[0]](now, key[1])
        core.broadcast.flush_fresh(now)

    def next_deadline(self) -> float | None:
        """Return when to call `tick` next, or None while nothing is due."""
        return self._core.timers.next()

    # Requests.

    def join(self, now: float, seeds: Sequence[Seed], *, device: bytes | None = None) -> None:
        """Contact these members until one answers: from an invite, or last known ones.

        Args:
            now: Monotonic seconds.
            seeds: Whom to contact.
            device: This device's own envelope, while the members may not know it: to join with an
                invite, since trust gives out no device that nobody has sponsored.
        """
        if device is not None:
            self._core.device = device
        self._core.admission.join(now, seeds)

    def publish(self, now: float, raw: bytes) -> None:
        """Admit a signed object and spread it.

        Raises:
            PeerError: If it is not acceptable. State unchanged.
        """
        self._core.intake.publish(now, raw)
        self._core.broadcast.flush_fresh(now)

    def publish_part(self, now: float, data: bytes) -> bool:
        """Hold a part for others to pull; say whether a head names it and it lacked."""
        return self._core.intake.take_part(now, data)

    def want(self, now: float, device_ids: Iterable[bytes]) -> None:
        """Keep a direct path to exactly these members, punching through NATs as needed."""
        self._core.paths.want(now, frozenset(device_ids))

    def set_endpoints(self, now: float, endpoints: Iterable[Address]) -> None:
        """Name the local addresses this node can be reached at; a change shows up everywhere."""
        if self._core.record.set_local(now, tuple(endpoints)):
            self._core.paths.moved(now)
            self._core.broadcast.flush_fresh(now)

    def set_clock(self, offset: float, uncertainty: float) -> None:
        """Take wall time as `now` + offset, wrong by at most `uncertainty` seconds."""
        self._core.set_clock(offset, uncertainty)

    def trust_changed(self, now: float) -> None:
        """Note that the driver adopted or refused a head, or set the directory."""
        self._core.roster.look(now)

    def ping(self, now: float, device_id: bytes, token: int) -> None:
        """Measure the round trip to a member; a `PingResult` with the token follows."""
        self._core.prober.ask(now, device_id, token)

    def leave(self, now: float) -> None:
        """Say good-bye to everybody; the machine is of no use afterwards."""
        self._core.record.leave(now)
        for peer in self._core.paths.proven():
            self._core.transport.send(now, peer)

    # Views.

    def members(self) -> Mapping[bytes, MemberView]:
        """Return what this node concludes about every other device in force."""
        core = self._core
        return {
            device_id: self._view(device_id) for device_id in core.devices if device_id != core.me
        }

    def stats(self) -> Mapping[str, int]:
        """Return how often what happened since the start, and what is held now."""
        core = self._core
        held = {
            "objects": len(core.intake.ids),
            "members": len(core.members),
            "queued": len(core.broadcast),
            "waiting": core.intake.waiting(),
            "pulls": len(core.bulk),
            "health": core.health,
        }
        return {**core.counters, **held}

    def fingerprint(self) -> bytes:
        """Return the fingerprint of all objects and records held; equal sets have equal ones."""
        return self._core.intake.fingerprint()

    # Inside.

    def _view(self, device_id: bytes) -> MemberView:
        core = self._core
        entry = core.members.get(device_id)
        return MemberView(
            device_id=device_id,
            state=MemberState.UNKNOWN if entry is None else entry.state,
            since=0.0 if entry is None else entry.since,
            path=core.paths.proven_address(device_id),
            rtt_seconds=core.paths.round_trip(device_id),
            record=None if entry is None else entry.record,
        )

    def _receive_data(self, now: float, source: Address, data: bytes) -> None:
        core = self._core
        opened = core.sessions.open(data)
        if opened is None:
            core.count("datagrams_unauthentic")
            return
        sender, frame = opened
        if not core.may_talk(sender):
            core.count("datagrams_not_in_force")
            return
        try:
            messages = wire.decode_frame(frame)
        except PeerError:
            core.count("frames_malformed")
            return
        core.paths.heard(now, sender, source)
        asked: set[type] = set()
        for message in messages:
            if type(message) in _ASKED_ONCE and type(message) in asked:
                core.count("questions_over_limit")
                continue
            asked.add(type(message))
            if core.may_talk(sender):
                self._handlers[type(message)](now, sender, source, message)
        if core.may_talk(sender):
            core.paths.question(now, sender, source)

    def _on_alone(self, now: float) -> None:
        core = self._core
        silence = now - core.heard_at
        is_alone = silence >= core.config.alone_seconds and len(core.devices) > 1
        if is_alone and not self._alone:
            core.emit(Alarm("alone", f"no other member has answered for {silence:.0f} seconds"))
        if is_alone:
            core.reconciler.alone()
            core.admission.alone(now)
        self._alone = is_alone
        core.timers.set(ALONE, now + core.config.alone_seconds)

    def _message_handlers(self) -> dict[type, _Handler]:
        core = self._core

        def push(now: float, peer: bytes, message: m.Push) -> None:
            for raw in message.raws:
                core.intake.take(now, raw, peer)

        table: dict[type, Callable[..., None]] = {
            m.Ping: core.prober.on_ping,
            m.Ack: lambda now, peer, _, msg: core.prober.on_ack(now, peer, msg),
            m.PingRequest: lambda now, peer, _, msg: core.prober.on_request(now, peer, msg),
            m.RelayedAck: lambda now, peer, _, msg: core.prober.on_relayed_ack(now, peer, msg),
            m.Nack: lambda _now, peer, _, msg: core.prober.on_nack(peer, msg),
            m.Punch: lambda now, peer, _, msg: core.paths.on_punch_message(now, peer, msg),
            m.Push: lambda now, peer, _, msg: push(now, peer, msg),
            m.Offer: lambda now, peer, _, msg: core.bulk.on_offer(now, peer, msg),
            m.Sync: lambda now, peer, _, msg: core.reconciler.on_sync(now, peer, msg),
            m.Have: lambda now, peer, _, msg: core.reconciler.on_have(now, peer, msg),
            m.Want: lambda now, peer, _, msg: core.reconciler.on_want(now, peer, msg),
            m.ChunkRequest: lambda now, peer, _, msg: core.bulk.on_request(now, peer, msg),
            m.Chunk: lambda now, peer, _, msg: core.bulk.on_chunk(now, peer, msg),
            m.Absent: lambda now, peer, _, msg: core.bulk.on_absent(now, peer, msg),
        }
        return table

    def _make_timer_handlers(self) -> dict[str, Callable[[float, bytes], None]]:
        core = self._core

        def expire(now: float, _: bytes) -> None:
            core.sessions.expire(now)

        return {
            broadcast.FLUSH: lambda now, _: core.broadcast.on_timer(now),
            paths.PUNCH: core.paths.on_punch,
            paths.PROVE: core.paths.on_prove,
            paths.AGAIN: core.paths.on_again,
            paths.KEEP: core.paths.on_keep,
            outreach.CONTACT: core.outreach.on_contact,
            outreach.DEGREE: lambda now, _: core.outreach.on_degree(now),
            record.RENEW: lambda now, _: core.record.on_renew(now),
            record.ROTATE: lambda now, _: core.record.on_rotate(now),
            record.EXPIRE: expire,
            roster.LOOK: lambda now, _: core.roster.look(now),
            suspicion.VERDICT: core.suspicion.on_verdict,
            probe.PROBE: lambda now, _: core.prober.on_timer(now),
            probe.TIMEOUT: core.prober.on_timeout,
            probe.END: core.prober.on_end,
            probe.NACK: core.prober.on_nack_due,
            probe.PING_END: lambda _, key: core.prober.on_ping_end(key),
            reconcile.SYNC: core.reconciler.on_timer,
            reconcile.PULL: core.reconciler.on_pull,
            bulk.BULK: core.bulk.on_timer,
            admission.JOIN: lambda now, _: core.admission.on_join(now),
            ALONE: lambda now, _: self._on_alone(now),
        }
