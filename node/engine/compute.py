"""The engine: one node's verified state and time in, the desired state of its kernel out.

Nothing here waits or reads a clock: the same view at the same moment
gives the same desired state, on any machine and after any restart. Without a bundle, or while
this device is not in force, the answer is the empty one: deny everything, no peers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from crypto.clock import Interval
from crypto.objects import Device
from node.engine.desired import (
    Desired,
    Direction,
    FirewallPlan,
    LiveKey,
    Network,
    PortKey,
    TunnelPeer,
)
from node.engine.numbers import Meaning, class_numbers, grant_ids, meaning
from node.engine.shares import Shares
from node.engine.view import Bundle, NodeView, interface_name
from policy.decide import Moment
from policy.grants import Grant, NodeGrants, NodeRules
from policy.model import Subject

# Below the 30 s after which Linux forgets an unanswered UDP flow (RFC 4787 REQ-5 asks
# for two minutes and rarely gets them).
KEEPALIVE_SECONDS = 25

_NOTHING = NodeGrants({}, {}, None)

Grants = Mapping[bytes, tuple[Grant, ...]]


@dataclass(frozen=True, slots=True)
class Computed:
    """What the engine concluded.

    Attributes:
        desired: what the kernel should hold.
        next_change: the reading of the clock's late end at which to compute again, although
            nothing may have happened; None for never.
    """

    desired: Desired
    next_change: float | None


class Engine:
    """The engine with its memory: the numbers it gave out, and what it judged last.

    The memory saves work and changes no answer: an engine without one gives the same.
    """

    def __init__(self) -> None:
        self._gids = grant_ids()
        self._classes = class_numbers()
        self._picked: tuple[Bundle, Subject, Shares] | None = None

    def compute(self, view: NodeView, now: Interval) -> Computed:
        """Return the desired state of the kernel at a moment."""
        grants = self._grants(view, now)
        devices = {
            device_id: view.devices[device_id]
            for device_id in sorted(grants.inbound.keys() | grants.outbound.keys())
        }
        plan = FirewallPlan(
            interface=interface_name(view.me.device_id),
            address4=view.me.address4,
            address6=view.me.address6,
            pool4=view.pool4,
            pool6=view.pool6,
            wireguard_port=view.wireguard_port,
            control_port=view.control_port,
            inbound=self._direction("in", grants.inbound, devices),
            outbound=self._direction("out", grants.outbound, devices),
        )
        desired = Desired(
            plan=plan,
            peers=_tunnel_peers(view, devices.values()),
            routes=(view.pool4, view.pool6),
        )
        return Computed(desired, grants.next_change)

    def _grants(self, view: NodeView, now: Interval) -> NodeGrants:
        bundle, me = view.bundle, view.devices.get(view.me.device_id)
        if bundle is None or view.freshness == "none" or me is None:
            return _NOTHING
        moment = Moment(now, view.facts, view.freshness, bundle.expires)
        subjects = view.subjects()
        mine = subjects.pop(me.device_id)
        return self._shares(bundle, mine).grants(subjects, moment)

    def _shares(self, bundle: Bundle, me: Subject) -> Shares:
        picked = self._picked
        if picked is None or picked[0] is not bundle or picked[1] != me:
            shares = Shares(NodeRules(bundle.policy, bundle.directory, me))
            picked = self._picked = (bundle, me, shares)
        return picked[2]

    def _direction(self, side: str, grants: Grants, devices: Mapping[bytes, Device]) -> Direction:
        """Write the grants of one direction as the three tables of the kernel."""
        shapes = {shared: _shape(side, shared) for shared in dict.fromkeys(grants.values())}
        gids = self._gids.number(each for shape in shapes.values() for _, each in shape)
        meanings = {
            shared: meaning(side, sorted(gids[each] for _, each in shape))
            for shared, shape in shapes.items()
        }
        classes = self._classes.number(meanings.values())
        ports: dict[PortKey, int] = {}
        for shared, shape in shapes.items():
            cls = classes[meanings[shared]]
            for grant, each in shape:
                key = PortKey(cls, grant.ports.proto, grant.ports.lo, grant.ports.hi)
                ports[key] = gids[each]
        live: dict[LiveKey, float | None] = {}
        members = {}
        for device_id, shared in grants.items():
            for address in (devices[device_id].address4, devices[device_id].address6):
                members[address] = classes[meanings[shared]]
                for grant, each in shapes[shared]:
                    live[address, gids[each]] = grant.until
        return Direction(members, ports, live)


def compute(view: NodeView, now: Interval) -> Computed:
    """Return the desired state of the kernel at a moment, by an engine without a memory."""
    return Engine().compute(view, now)


def _shape(side: str, grants: Iterable[Grant]) -> list[tuple[Grant, Meaning]]:
    """Return each grant with the meaning of its id: direction, ports and rules."""
    return [
        (grant, meaning(side, grant.ports.proto, grant.ports.lo, grant.ports.hi, grant.rules))
        for grant in grants
    ]


def _tunnel_peers(view: NodeView, devices: Iterable[Device]) -> dict[bytes, TunnelPeer]:
    """Return the WireGuard peers of the devices that some rule names.

    WireGuard knows one peer a key. Where two devices claim one key, nobody but its holder can use
    either address, so both go to the one peer: whoever copied the key has given his own away.
    Where the peer is, and who begins, is then for the device to say that an admin has named: a
    copy must not lead away from the machine it was made of.
    """
    peers: dict[bytes, TunnelPeer] = {}
    for device in sorted(devices, key=lambda each: each.device_id not in view.vouched):
        if device.wireguard_public == view.me.wireguard_public:
            continue
        own: tuple[Network, ...] = (
            IPv4Network(device.address4),
            IPv6Network(device.address6),
        )
        known = peers.get(device.wireguard_public)
        peers[device.wireguard_public] = (
            replace(known, allowed_ips=(*known.allowed_ips, *own))
            if known
            else TunnelPeer(
                device_id=device.device_id,
                public_key=device.wireguard_public,
                allowed_ips=own,
                endpoint=view.paths.get(device.device_id),
                keepalive_seconds=_keepalive(view, device),
                begins=view.me.device_id < device.device_id,
            )
        )
    return peers


def _keepalive(view: NodeView, device: Device) -> int:
    """Keep the way through a translator open, whichever end sits behind it."""
    natted = view.natted & {view.me.device_id, device.device_id}
    return KEEPALIVE_SECONDS if natted else 0
