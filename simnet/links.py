"""Links: how long a datagram takes from one host to another, and whether it arrives at all."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two hosts.

    Attributes:
        latency_seconds: The least time a datagram takes.
        jitter_seconds: Up to this much more, drawn evenly for each datagram.
        loss: Share of datagrams that are lost.
    """

    latency_seconds: float = 0.001
    jitter_seconds: float = 0.0
    loss: float = 0.0

    def draw(self, random: Random) -> float | None:
        """Return the delay of one datagram, or None if it is lost.

        Two numbers are always drawn, so that changing one link's loss leaves others' draws alone.
        """
        lost, late = random.random(), random.random()
        if lost < self.loss:
            return None
        return self.latency_seconds + self.jitter_seconds * late


class Links:
    """The links between hosts by number: one default, exceptions, and cuts."""

    def __init__(self, default: Link) -> None:
        self._default = default
        self._links: dict[tuple[int, int], Link] = {}
        self._cut: set[tuple[int, int]] = set()

    def set(self, source: int, target: int, link: Link) -> None:
        """Give one direction a link of its own."""
        self._links[source, target] = link

    def cut(self, source: int, target: int) -> None:
        """Let nothing pass in one direction."""
        self._cut.add((source, target))

    def heal(self) -> None:
        """Undo all cuts."""
        self._cut.clear()

    def draw(self, source: int, target: int, random: Random) -> float | None:
        """Return the delay of one datagram, or None if it does not arrive."""
        delay = self._links.get((source, target), self._default).draw(random)
        return None if (source, target) in self._cut else delay
