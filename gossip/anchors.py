"""Anchors: through whom a member behind a NAT is reached, known to all without being told.

SWIM assumes that any two members can talk; behind NATs they cannot. Members that others have
reached unasked ("reachable" in their record) are the core. A member that is not of the core keeps
paths to its anchors: the first few of the core by a hash of both ids. Everybody can work out the
same list, so whoever wants it probed or punched asks its anchors, and the load is even.
"""

from collections.abc import Iterable
from hashlib import sha256

from gossip.core import Core

_CONTEXT = b"hedgerow-anchor"


def ranked(subject: bytes, device_ids: Iterable[bytes]) -> list[bytes]:
    """Return members in the order in which they serve `subject` (rendezvous hashing)."""
    return sorted(device_ids, key=lambda item: sha256(_CONTEXT + subject + item).digest())


class Anchors:
    """Says who anchors whom, as far as this node can tell."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def of(self, device_id: bytes) -> list[bytes]:
        """Return the anchors of a member; none if it is reachable itself."""
        if self.is_reachable(device_id):
            return []
        live = (entry.device_id for entry in self._core.members.live())
        able = (other for other in live if other != device_id and self.is_reachable(other))
        return ranked(device_id, able)[: self._core.config.anchors]

    def mine(self) -> list[bytes]:
        """Return whom this node keeps a path to unasked; with too small a core, others as well."""
        if self._core.record.reachable:
            return []
        count = self._core.config.anchors
        chosen = self.of(self._core.me)
        others = ranked(self._core.me, set(self._core.paths.proven()).difference(chosen))
        return [*chosen, *others[: max(0, count - len(chosen))]]

    def helpers(self, target: bytes, count: int) -> list[bytes]:
        """Return up to `count` members with a path to us, to ask about `target`.

        Of a member that is not reachable its anchors come first, then the rest of the core.
        """
        able = [device_id for device_id in self._core.paths.proven() if device_id != target]
        self._core.random.shuffle(able)
        able.sort(key=lambda device_id: not self.is_reachable(device_id))
        first = [device_id for device_id in self.of(target) if device_id in able]
        return list(dict.fromkeys(first + able))[:count]

    def is_reachable(self, device_id: bytes) -> bool:
        """Say whether a member's record claims that strangers can reach it."""
        entry = self._core.members.get(device_id)
        return entry is not None and entry.record is not None and entry.record.reachable is True
