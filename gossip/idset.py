"""The set of ids a node holds, with fingerprints of any part of it.

A fingerprint is a hash of the sum, modulo 2^256, of the ids and of their number: it changes with
one addition, and unlike an XOR it does not fall to linear algebra when a member may choose ids
(negentropy, section "fingerprints"). Sums are kept for each first byte, so that the first two
levels of a reconciliation cost nothing.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from gossip.messages import SHORT_ID_BYTES
from gossip.wire import FINGERPRINT_BYTES

_MODULUS: Final = 2**256
_BUCKETS: Final = 256


class IdSet:
    """Full ids, found by their short form too."""

    def __init__(self) -> None:
        self._by_short: dict[bytes, bytes] = {}
        self._ranks: dict[bytes, int] = {}
        self._buckets: list[set[bytes]] = [set() for _ in range(_BUCKETS)]
        self._sums = [0] * _BUCKETS
        self._total = 0
        self._print: bytes | None = None

    def __len__(self) -> int:
        return len(self._by_short)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._by_short.values())

    def __contains__(self, identity: bytes) -> bool:
        return self._by_short.get(identity[:SHORT_ID_BYTES]) == identity

    def add(self, identity: bytes, rank: int = 0) -> None:
        """Add an id; one already there changes nothing. Lower ranks are handed on first."""
        if identity[:SHORT_ID_BYTES] in self._by_short:
            return
        self._ranks[identity] = rank
        self._by_short[identity[:SHORT_ID_BYTES]] = identity
        self._buckets[identity[0]].add(identity)
        self._change(identity, int.from_bytes(identity, "big"))

    def discard(self, identity: bytes) -> None:
        """Remove an id if it is there."""
        if identity not in self:
            return
        del self._by_short[identity[:SHORT_ID_BYTES]]
        del self._ranks[identity]
        self._buckets[identity[0]].remove(identity)
        self._change(identity, -int.from_bytes(identity, "big"))

    def full(self, short: bytes) -> bytes | None:
        """Return the id with this short form, or None."""
        return self._by_short.get(short)

    def fingerprint(self) -> bytes:
        """Return the fingerprint of the whole set."""
        if self._print is None:
            self._print = _fingerprint(self._total, len(self))
        return self._print

    def summary(self, prefix: str) -> tuple[bytes, int]:
        """Return fingerprint and number of the ids below a prefix of hexadecimal digits."""
        if len(prefix) <= 2:
            span = _span(prefix)
            count = sum(len(self._buckets[byte]) for byte in span)
            return _fingerprint(sum(self._sums[byte] for byte in span), count), count
        ids = self.below(prefix)
        return _fingerprint(sum(int.from_bytes(item, "big") for item in ids), len(ids)), len(ids)

    def below(self, prefix: str) -> list[bytes]:
        """Return the ids below a prefix, parents before children."""
        found: list[bytes] = []
        for byte in _span(prefix[:2]):
            found += self._buckets[byte]
        if len(prefix) > 2:
            found = [item for item in found if item.hex().startswith(prefix)]
        return sorted(found, key=lambda item: (self._ranks[item], item))

    def missing(self, shorts: Iterable[bytes]) -> list[bytes]:
        """Return those of the short ids that are not here, in order."""
        return [short for short in shorts if short not in self._by_short]

    def _change(self, identity: bytes, number: int) -> None:
        self._sums[identity[0]] += number
        self._total += number
        self._print = None


def _span(prefix: str) -> range:
    """Return the first bytes that ids below a prefix of at most two digits can have."""
    if not prefix:
        return range(_BUCKETS)
    if len(prefix) == 1:
        return range(int(prefix, 16) * 16, int(prefix, 16) * 16 + 16)
    return range(int(prefix, 16), int(prefix, 16) + 1)


def _fingerprint(total: int, count: int) -> bytes:
    data = (total % _MODULUS).to_bytes(32, "big") + count.to_bytes(8, "big")
    return sha256(data).digest()[:FINGERPRINT_BYTES]
