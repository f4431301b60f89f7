"""Hellos: who may start to talk to us, and how we start to talk to others.

A hello is answered only if it opens, comes from the static key of a device in force (or of one
that can join), is younger than our boot and than any hello of that device before, and is not from
the future. Everything else gets silence, so that a scanner, a replay and a stranger learn nothing
and cost one hash. A device that was removed may be told so, with the signed proof.

A joiner's hello carries its device and the ticket it rests on. If both verify, this member vouches
for it (a `sponsor` with our clock), provided that the ticket has uses left as far as we know, and
that we did not come through the same ticket ourselves.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crypto.errors import ConstraintError, LocalError, ObjectError, PeerError
from crypto.objects import Device, RevokeKind, Sponsor, parse
from crypto.signing import ObjectType, decode, seal
from gossip import hello, limits
from gossip import messages as m
from gossip.buckets import Bucket
from gossip.core import Core
from gossip.events import Address, Alarm, Seed

JOIN: Final = "join"
JOIN_SECONDS: Final = 1.0
JOIN_MAX_SECONDS: Final = 60.0
PENDING_SECONDS: Final = 10.0
REASON_CHARACTERS_MAX: Final = 200
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _Sent:
    pending: hello.Pending
    at: float
    with_record: bool


class Admission:
    """Sends, answers and opens hellos; joins through seeds."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sent: OrderedDict[bytes, _Sent] = OrderedDict()
        self._seeds: dict[bytes, Seed] = {}
        self._last_heard_ms: dict[bytes, int] = {}
        self._refused_ms: OrderedDict[bytes, int] = OrderedDict()
        self._last_sent_ms = core.record.booted_ms
        self._joins = 0
        self._alarmed = ""
        self._budget = Bucket(
            limits.HELLOS_PER_SECOND, limits.HELLO_BURST, limits.HELLO_BURST, float("-inf")
        )

    # Out.

    def join(self, now: float, seeds: Sequence[Seed]) -> None:
        """Say hello to these members, again and again until one answers."""
        for seed in seeds[: limits.SEEDS_MAX]:
            if seed.device_id != self._core.me:
                self._seeds[seed.device_id] = seed
                self._core.guests[seed.device_id] = seed.gossip_public
        while len(self._seeds) > limits.SEEDS_MAX:
            oldest = next(iter(self._seeds))
            del self._seeds[oldest]
            self._core.guests.pop(oldest, None)
        self._joins = 0
        self.on_join(now)

    def greet(self, now: float, target: bytes, addresses: Sequence[Address]) -> None:
        """Send one hello to each address of a member; the first to arrive is answered."""
        data = self.make_hello(now, target)
        if data is not None:
            for address in addresses:
                self._core.send(now, address, data)

    def make_hello(self, now: float, target: bytes) -> bytes | None:
        """Return a hello for a member, or None without its static key."""
        core = self._core
        device = core.devices.get(target)
        static = core.guests.get(target) if device is None else device.gossip_public
        record = core.record.raw
        if static is None or record is None or core.is_removed:
            return None
        epoch = core.record.epoch
        self._last_sent_ms = max(self._last_sent_ms, epoch.boot_ms, core.wall_ms(now) - 1) + 1
        body = self._introduction() or hello.HelloBody(
            self._last_sent_ms, core.sessions.public, member=record
        )
        ephemeral = core.entropy(_KEY_BYTES)
        try:
            data, pending = hello.seal_hello(core.own, target, static, ephemeral, body)
        except (LocalError, ObjectError) as error:
            self._alarm("hello-failed", error.message)
            return None
        if len(self._sent) >= limits.PENDING_HELLOS_MAX:
            self._sent.popitem(last=False)
        self._sent[pending.echo] = _Sent(pending, now, body.member is not None)
        core.count("hellos_sent")
        return data

    def on_join(self, now: float) -> None:
        """Say hello to the seeds while there is nobody to talk to."""
        core = self._core
        if not self._seeds or core.paths.proven():
            return
        for seed in self._seeds.values():
            self.greet(now, seed.device_id, [seed.address])
        wait = min(JOIN_MAX_SECONDS, JOIN_SECONDS * 2 ** min(self._joins, 10))
        self._joins += 1
        core.timers.set(JOIN, now + wait * (0.75 + core.random.random() / 2))

    def alone(self, now: float) -> None:
        """Begin again with the seeds: nobody answers."""
        self._joins = 0
        self._core.timers.set_earlier(JOIN, now)

    def forget(self, device_id: bytes) -> None:
        """Drop what concerns a device that is no longer in force."""
        self._last_heard_ms.pop(device_id, None)

    # In.

    def on_hello(self, now: float, source: Address, data: bytes) -> None:
        """Answer a hello that deserves it."""
        core = self._core
        opened = self._open(now, data)
        if opened is None:
            return
        if not self._is_known(opened):
            refusal = self._introduced(now, source, opened)
            if refusal is not None:
                self._refuse(now, source, opened, refusal)
                return
        if not self._is_known(opened):
            core.count("hellos_by_strangers")
            core.prober.catch_up(now)
            return
        # Asked before the reply makes `source` an address we have sent to.
        unsolicited = core.paths.contacted.is_unsolicited(now, source)
        self._take(now, opened)
        body = hello.ReplyBody(
            accepted=True,
            observed=source,
            session_key=core.sessions.public,
            member=core.record.raw,
        )
        self._reply(now, source, opened, body)
        core.paths.heard(now, opened.device_id, source)
        core.paths.question(now, opened.device_id, source)
        if unsolicited:
            core.record.dialled(now)

    def take_relayed(self, now: float, data: bytes) -> bytes | None:
        """Take a hello that another member carried; return who sent it, if it is in force."""
        opened = self._open(now, data)
        if opened is None or not self._is_known(opened):
            return None
        self._take(now, opened)
        return opened.device_id

    def on_reply(self, now: float, source: Address, data: bytes) -> None:
        """Take the reply to a hello of ours."""
        core = self._core
        echo = hello.reply_echo(data)
        sent = self._sent.get(echo)
        if sent is None or now - sent.at > PENDING_SECONDS:
            core.count("replies_unasked")
            return
        body = hello.open_reply(core.own, sent.pending, data)
        if body is None:
            core.count("replies_invalid")
            return
        del self._sent[echo]
        target = sent.pending.target
        if not body.accepted or body.session_key is None:
            self._take_refusal(now, body)
        elif core.may_talk(target):
            self._accepted(now, source, sent, body)

    # Inside.

    def _introduction(self) -> hello.HelloBody | None:
        """Return a body with our device and ticket, while nobody can know us yet."""
        core = self._core
        if core.paths.ever_proven and core.in_force(core.me):
            return None
        if core.device is None:
            return None
        device = parse(decode(core.device))
        ticket_id = device.ticket if isinstance(device, Device) else None
        ticket = None if ticket_id is None else core.trust.raw(ticket_id)
        return hello.HelloBody(
            self._last_sent_ms, core.sessions.public, device=core.device, ticket=ticket
        )

    def _open(self, now: float, data: bytes) -> hello.Opened | None:
        core = self._core
        if not hello.is_for(core.own, data):
            core.count("hellos_invalid")
            return None
        if not self._budget.take(now, 1.0):
            core.count("hellos_rate_limited")
            return None
        opened = hello.open_hello(core.own, data)
        if opened is None:
            core.count("hellos_invalid")
            return None
        ahead_ms = core.config.hello_ahead_seconds * 1_000
        if not self._newest_ms(opened) < opened.body.sent_ms <= core.wall_ms(now) + ahead_ms:
            core.count("hellos_replayed")
            return None
        return opened

    def _newest_ms(self, opened: hello.Opened) -> int:
        """Return what a hello has to be younger than.

        Our own boot, the sender's boot by its record, and the last hello of the sender's.
        """
        entry = self._core.members.get(opened.device_id)
        booted = 0 if entry is None or entry.epoch is None else entry.epoch.boot_ms
        return max(
            self._core.record.booted_ms,
            booted,
            self._last_heard_ms.get(opened.device_id, 0),
            self._refused_ms.get(opened.device_id, 0),
        )

    def _is_known(self, opened: hello.Opened) -> bool:
        device = self._core.devices.get(opened.device_id)
        if device is not None:
            return device.gossip_public == opened.static_public
        return self._core.guests.get(opened.device_id) == opened.static_public

    def _introduced(
        self, now: float, source: Address, opened: hello.Opened
    ) -> hello.ReplyBody | None:
        """Let an unknown sender in if what it brings allows it; return why not, if it may know.

        It may know if it has proven to be a device that was removed, or one with a valid ticket.
        """
        core = self._core
        if core.trust.is_revoked(RevokeKind.DEVICE, opened.device_id):
            return self._removal(source, opened)
        try:
            identity = self._admit_device(now, opened)
        except PeerError:
            core.count("hellos_refused")
            return None
        if identity is None or core.in_force(opened.device_id):
            return None
        if core.trust.device_state(opened.device_id, core.wall(now))[0]:
            core.roster.look(now)
            return None
        try:
            self._vouch(now, opened.device_id, identity)
        except PeerError as error:
            core.count("joins_refused")
            reason = error.message[:REASON_CHARACTERS_MAX]
            return hello.ReplyBody(accepted=False, observed=source, reason=reason)
        core.count("joins_accepted")
        return None

    def _admit_device(self, now: float, opened: hello.Opened) -> bytes | None:
        """Admit the ticket and device that a hello carries; return the device's object id.

        Raises:
            PeerError: If one of them is not acceptable.
        """
        core = self._core
        if opened.body.device is None:
            return None
        envelope = decode(opened.body.device)
        device = parse(envelope)
        if not isinstance(device, Device) or device.device_id != opened.device_id:
            return None
        if device.gossip_public != opened.static_public:
            return None
        if opened.body.ticket is not None:
            core.intake.publish(now, opened.body.ticket)
        core.intake.publish(now, opened.body.device)
        return envelope.id

    def _vouch(self, now: float, device_id: bytes, identity: bytes) -> None:
        """Sponsor a device that came with a ticket.

        Raises:
            PeerError: If this member may not, or it did not help.
        """
        core = self._core
        wall = core.wall(now)
        may, reason = core.trust.may_sponsor(identity, core.me, wall)
        device = self._pending(identity)
        if not may or device is None or device.ticket is None:
            raise ConstraintError(f"this member does not vouch for the device: {reason}")
        sponsor = Sponsor(identity, device.ticket, core.wall_seconds(now), core.me)
        seeds = [core.keys.sign_seed]
        payload = sponsor.to_payload()
        core.intake.publish(now, seal(ObjectType.SPONSOR, core.own.mesh_id, payload, seeds))
        in_force, reason = core.trust.device_state(device_id, wall)
        if not in_force:
            raise ConstraintError(f"the device is not in force: {reason}")
        core.roster.look(now)

    def _pending(self, identity: bytes) -> Device | None:
        raw = self._core.trust.raw(identity)
        body = None if raw is None else parse(decode(raw))
        return body if isinstance(body, Device) else None

    def _removal(self, source: Address, opened: hello.Opened) -> hello.ReplyBody | None:
        """Return the word that a device was removed, with proof, if the sender is that device."""
        device = self._core.trust.device(opened.device_id)
        if device is None or device.gossip_public != opened.static_public:
            return None
        evidence = self._core.trust.revocation(RevokeKind.DEVICE, opened.device_id)
        if evidence is None:
            return None
        return hello.ReplyBody(
            accepted=False,
            observed=source,
            evidence=evidence,
            reason="this device was removed from the mesh",
        )

    def _refuse(
        self, now: float, source: Address, opened: hello.Opened, body: hello.ReplyBody
    ) -> None:
        """Say no, once to each hello."""
        if len(self._refused_ms) >= limits.REFUSED_DEVICES_MAX:
            self._refused_ms.popitem(last=False)
        self._refused_ms[opened.device_id] = opened.body.sent_ms
        self._reply(now, source, opened, body)

    def _take(self, now: float, opened: hello.Opened) -> None:
        """Apply what an accepted hello says about its sender."""
        core = self._core
        self._last_heard_ms[opened.device_id] = opened.body.sent_ms
        if opened.body.member is not None:
            core.intake.take(now, opened.body.member, opened.device_id)
        core.sessions.set_peer(now, opened.device_id, opened.body.session_key, rebooted=False)

    def _reply(
        self, now: float, source: Address, opened: hello.Opened, body: hello.ReplyBody
    ) -> None:
        core = self._core
        data = hello.seal_reply(core.own, opened, core.entropy(_KEY_BYTES), body)
        if data is None:
            core.count("replies_too_long")
            return
        core.send(now, source, data)

    def _take_refusal(self, now: float, body: hello.ReplyBody) -> None:
        if body.evidence is not None:
            self._core.intake.take(now, body.evidence, None)
        self._alarm("join-refused", body.reason or "a member refuses to talk to this device")

    def _accepted(self, now: float, source: Address, sent: _Sent, body: hello.ReplyBody) -> None:
        core = self._core
        target = sent.pending.target
        round_trip = now - sent.at
        if body.member is not None:
            core.intake.take(now, body.member, target)
        if body.session_key is not None:
            core.sessions.set_peer(now, target, body.session_key, rebooted=False)
        core.paths.proved(now, target, source, round_trip)
        core.prober.contacted(target, round_trip)
        if core.in_force(target):
            core.record.observed(now, target, body.observed)
        record = core.record.raw
        if not sent.with_record and record is not None:
            core.transport.send(now, target, m.Push((record,)))

    def _alarm(self, code: str, text: str) -> None:
        """Tell the driver, but not the same twice in a row."""
        if text != self._alarmed:
            self._alarmed = text
            self._core.emit(Alarm(code, text))
