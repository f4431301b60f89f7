"""Watch whether this device has lost its address to another, and sign it again if so."""

from ipaddress import IPv4Address
from pathlib import Path

from crypto.clock import Interval
from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from node import address, log
from node.mesh import Mesh

# Each try is an object that every member keeps.
TRIES_MAX = 8
# After that, whoever comes with the same address came later.
SETTLED_SECONDS = 3_600.0


class Readdresser:
    """Watches whether this device has lost its address, and signs it again if so.

    Args:
        folder: where the ticket's key is kept.
        mesh: the node's verified state.
        keys: the device's keys.
    """

    def __init__(self, folder: Path, mesh: Mesh, keys: DeviceKeys) -> None:
        self._folder = folder
        self._mesh = mesh
        self._tried: set[IPv4Address] = set()
        self._in_force_since: float | None = None
        self._log = log.get("address")
        self._enrolment = self._find(keys)

    def look(self, now: Interval, at: float) -> bytes | None:
        """Return this device's new envelope if it had to be signed again, else None.

        Args:
            now: the time.
            at: monotonic seconds.
        """
        if self._enrolment is None:
            return None
        if now.may_have_reached(self._enrolment.ticket.not_after):
            self._erase()
            return None
        mesh = self._mesh
        in_force, reason = mesh.trust.device_state(mesh.enrolled.device_id, now)
        if in_force:
            self._settle(at)
            return None
        self._in_force_since = None
        # Members do not talk to a device that is not in force, so what they refused it for may be
        # all that it knows of the other one.
        mine = mesh.enrolled.address4
        refused = dict(mesh.alarms).get("join-refused", "")
        if len(self._tried) >= TRIES_MAX or not (
            address.lost(reason, mine) or address.lost(refused, mine)
        ):
            return None
        self._tried.add(mine)
        taken = {device.address4 for device in mesh.trust.devices(now).values()}
        signed = self._enrolment.again(mesh.enrolled, taken | self._tried, now)
        if signed is None:
            return None
        device, raw = signed
        mesh.enrol_again(device, raw, now)
        self._log.warning("address was taken", before=str(mine), now=str(device.address4))
        return raw

    def _find(self, keys: DeviceKeys) -> address.Enrolment | None:
        device, trust = self._mesh.enrolled, self._mesh.trust
        try:
            seed = address.load(self._folder)
        except LocalError as error:
            self._log.warning("the ticket's key is not used", why=str(error))
            return None
        ticket = trust.ticket(device.ticket) if device.ticket else None
        if seed is None or ticket is None:
            return None
        return address.Enrolment(trust.mesh_id, ticket, seed, keys)

    def _settle(self, at: float) -> None:
        """Erase the key once the address is surely this device's own."""
        if self._in_force_since is None:
            self._in_force_since = at
        if at - self._in_force_since >= SETTLED_SECONDS:
            self._erase()

    def _erase(self) -> None:
        self._enrolment = None
        try:
            address.forget(self._folder)
        except LocalError as error:
            self._log.warning("the ticket's key could not be erased", why=str(error))
