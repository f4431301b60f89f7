"""Find and open everything that a daemon needs, before anything on the machine is changed."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from node import keystore, lock, log, preflight, restore, settings
from node.alarms import Alarms
from node.api import guard
from node.clock import Clock
from node.engine.view import interface_name
from node.kernel.firewall import Firewall
from node.kernel.wireguard import WireGuard, choose
from node.paths import Paths
from node.restore import Restored
from node.state import Store
from node.udp import ControlSocket


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon is made of.

    Attributes:
        keys: this device's private keys.
        restored: the verified state.
        store: the state file.
        clock: the clock, with the kept floor.
        alarms: the alarms.
        firewall: the firewall's driver.
        wireguard: the tunnel's driver.
        control: the control socket.
        channel: the listening socket for commands.
        group: the group that may give commands besides root.
        wireguard_port: the UDP port that the outside sees.
        boot_ms: the number of this start.
        state: the state directory.
    """

    keys: DeviceKeys
    restored: Restored
    store: Store
    clock: Clock
    alarms: Alarms
    firewall: Firewall
    wireguard: WireGuard
    control: ControlSocket
    channel: socket.socket
    group: int | None
    wireguard_port: int
    boot_ms: int
    state: Path


async def prepare(paths: Paths, stack: ExitStack, *, port: int | None) -> Parts:
    """Ask for everything, and open it; the stack closes it again.

    Args:
        paths: the places of the node.
        stack: closes what was opened.
        port: the UDP port asked for, if one was.

    Raises:
        LocalError: something is missing or taken; the message names it, the remedy says what to
            do. Nothing was changed.
    """
    preflight.check_rights()
    preflight.check_firewall()
    chosen = settings.load(paths.config)
    keys = keystore.load(paths.state)
    if keys is None or not paths.database.exists():
        raise LocalError(
            f"{paths.state} is not in a mesh",
            remedy="join one with `hedgerow join INVITE`, or name another folder: --state DIR",
        )
    stack.enter_context(lock.held(paths.lock))
    store = stack.enter_context(Store(paths.database))
    clock = Clock(
        floor=float(store.get_number(restore.FLOOR)), skew_seconds=chosen.clock_skew_seconds
    )
    restored = _restore(store, clock, keys)
    stack.enter_context(preflight.claim_table(chosen.firewall_table))
    wireguard = await choose()
    interface = interface_name(keys.device_id)
    wireguard_port = preflight.choose_port(
        asked=port or chosen.port,
        kept=store.get_number(restore.WIREGUARD_PORT) or None,
        interface=interface,
    )
    group = guard.group_id(chosen.socket_group)
    channel = stack.enter_context(guard.listen(paths.socket, group))
    stack.callback(paths.socket.unlink, missing_ok=True)
    control = await preflight.open_control(store.get_number(restore.CONTROL_PORT) or None)
    stack.callback(control.close)
    with store.transaction():
        store.put_number(restore.WIREGUARD_PORT, wireguard_port)
        store.put_number(restore.CONTROL_PORT, control.port)
        boot_ms = store.next_boot(int(clock.wall() * 1_000))
    return Parts(
        keys=keys,
        restored=restored,
        store=store,
        clock=clock,
        alarms=Alarms(),
        firewall=Firewall(table=chosen.firewall_table),
        wireguard=wireguard,
        control=control,
        channel=channel,
        group=group,
        wireguard_port=wireguard_port,
        boot_ms=boot_ms,
        state=paths.state,
    )


def _restore(store: Store, clock: Clock, keys: DeviceKeys) -> Restored:
    restored = restore.load(store, clock.interval())
    if restored.device.device_id != keys.device_id:
        raise LocalError(
            "the keys in this folder are not those of the device in its state file",
            remedy="restore the whole folder from one backup, or move it away and join again",
        )
    clock.raise_floor(restored.trust.floor)
    for text in restored.refused:
        log.get("startup").warning("kept object refused", why=text)
    return restored
