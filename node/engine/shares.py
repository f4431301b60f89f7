"""Each peer's grants, judged again only when something about it may have changed.

One device's change then costs what one device costs, in a mesh of any size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.conditions import earliest
from policy.decide import Moment
from policy.grants import Grant, NodeGrants, NodeRules
from policy.model import Subject


@dataclass(frozen=True, slots=True)
class _Share:
    """What one peer was granted, and until when that needs no second look."""

    subject: Subject
    inbound: tuple[Grant, ...]
    outbound: tuple[Grant, ...]
    next_change: float | None


class Shares:
    """The grants between one node and its peers, under one bundle.

    Args:
        rules: the rules that concern the node.
    """

    def __init__(self, rules: NodeRules) -> None:
        self._rules = rules
        self._known: dict[bytes, _Share] = {}
        self._moment: Moment | None = None

    def grants(self, peers: Mapping[bytes, Subject], moment: Moment) -> NodeGrants:
        """Return the grants between the node and these peers at a moment."""
        if self._moment is None or not _follows(self._moment, moment):
            self._known = {}
        self._moment = moment
        stale = {
            device_id: subject
            for device_id, subject in peers.items()
            if not self._is_good(device_id, subject, moment.now.hi)
        }
        self._judge(stale, moment)
        self._known = {device_id: self._known[device_id] for device_id in peers}
        shares = self._known.items()
        return NodeGrants(
            inbound={key: share.inbound for key, share in shares if share.inbound},
            outbound={key: share.outbound for key, share in shares if share.outbound},
            next_change=earliest({share.next_change for _, share in shares}),
        )

    def _is_good(self, device_id: bytes, subject: Subject, now: float) -> bool:
        share = self._known.get(device_id)
        if share is None or share.subject != subject:
            return False
        return share.next_change is None or now < share.next_change

    def _judge(self, stale: Mapping[bytes, Subject], moment: Moment) -> None:
        """Judge some peers together; the first change of any of them is when to judge all."""
        if not stale:
            return
        found = self._rules.grants(stale.values(), moment)
        for device_id, subject in stale.items():
            inbound = found.inbound.get(device_id, ())
            outbound = found.outbound.get(device_id, ())
            self._known[device_id] = _Share(subject, inbound, outbound, found.next_change)


def _follows(before: Moment, after: Moment) -> bool:
    """Whether only time has passed: answers hold up to their next change then.

    That supposes that the clock has not gone back and is as sure of itself as it was.
    """
    doubt = before.now.hi - before.now.lo
    same_doubt = abs((after.now.hi - after.now.lo) - doubt) < 1e-3
    return (
        same_doubt
        and after.now.hi >= before.now.hi
        and (after.facts, after.freshness, after.expires)
        == (before.facts, before.freshness, before.expires)
    )
