"""Who may talk to us: the devices in force, looked at again whenever that may have changed.

A device that falls out (revoked, expired, displaced) loses its session, path and place in the
member table in the same step. Looking costs time in proportion to the mesh, so a flood of fresh
devices is looked at together; a revocation is looked at once.
"""

from typing import Final

from crypto.objects import RevokeKind
from gossip.core import Core
from gossip.events import Alarm

LOOK: Final = "look"
SMALL: Final = 64
"""Up to this many devices a look is cheap enough for every change."""

GAP_SECONDS: Final = 0.2


class Roster:
    """Keeps `Core.devices` up to date."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._looked_at = float("-inf")
        self._was_in_force = False

    def changed(self, now: float, *, at_once: bool = False) -> None:
        """Note that trust holds something new."""
        due = self._looked_at + GAP_SECONDS
        if at_once or len(self._core.devices) < SMALL or now >= due:
            self.look(now)
        else:
            self._core.timers.set_earlier(LOOK, due)

    def look(self, now: float) -> None:
        """Compare who is in force now with who was, and drop those who are not any more."""
        core = self._core
        wall = core.wall(now)
        self._looked_at = now
        before = core.devices
        core.devices = dict(core.trust.devices(wall))
        for device_id in sorted(before.keys() - core.devices.keys()):
            self._drop(device_id)
        for device_id in sorted(core.guests):
            if core.trust.is_revoked(RevokeKind.DEVICE, device_id):
                core.guests.pop(device_id)
                self._drop(device_id)
        self._look_at_self(now)
        core.intake.mirror(now)
        for device_id in sorted(core.devices.keys() - before.keys()):
            core.intake.released(now, device_id)
        self._set_timer(now)

    def _drop(self, device_id: bytes) -> None:
        core = self._core
        if device_id == core.me:
            return
        core.count("devices_dropped")
        core.sessions.forget(device_id)
        core.paths.forget(device_id)
        core.outreach.forget(device_id)
        core.prober.forget(device_id)
        core.reconciler.forget(device_id)
        core.admission.forget(device_id)
        statement = core.members.forget(device_id)
        if statement is not None:
            core.intake.ids.discard(statement.id)
            core.broadcast.drop(statement.id)

    def _look_at_self(self, now: float) -> None:
        core = self._core
        in_force = core.in_force(core.me)
        core.is_removed = core.trust.is_revoked(RevokeKind.DEVICE, core.me)
        if self._was_in_force and not in_force:
            reason = core.trust.device_state(core.me, core.wall(now))[1]
            core.emit(Alarm("removed", f"this device is no longer in force: {reason}"))
        self._was_in_force = in_force

    def _set_timer(self, now: float) -> None:
        core = self._core
        due = now + core.config.refresh_seconds
        change = core.trust.next_change(core.wall(now))
        if change is not None:
            due = min(due, max(now + GAP_SECONDS, core.monotonic(change)))
        core.timers.set(LOOK, due)
