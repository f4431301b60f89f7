"""Numbers for meanings: class numbers and grant ids that survive a restart.

A number is a hash of what it stands for, so the same grants get the same number on every run and
a flow's mark goes on meaning what it meant. Where two meanings hash alike, the second in sorted
order gets the next free number, and `Numbers` remembers what it has given out, so that within one
life of the daemon no number ever changes its meaning.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from crypto import codec
from crypto.codec import Value
from crypto.errors import LocalError
from node.engine.desired import GID_MASK, GID_PREFIX

# Beyond this, what is not in use is forgotten: 24 bits hold 16.7 million grant ids.
REMEMBERED_MAX: Final = 1 << 16

Meaning = bytes


def meaning(*words: Value) -> Meaning:
    """Return the bytes that stand for a meaning: equal meanings give equal bytes."""
    return codec.dumps(list(words))


class Numbers:
    """One space of numbers.

    Args:
        prefix: the bits that every number has.
        bits: how many bits below the prefix tell numbers apart.
    """

    def __init__(self, *, prefix: int, bits: int) -> None:
        self._prefix = prefix
        self._size = 1 << bits
        self._numbers: dict[Meaning, int] = {}
        self._taken: set[int] = set()

    def number(self, meanings: Iterable[Meaning]) -> dict[Meaning, int]:
        """Return the number of each meaning, giving out new ones where needed.

        Raises:
            LocalError: there are more meanings than numbers.
        """
        wanted = sorted(set(meanings))
        if len(self._numbers) > REMEMBERED_MAX:
            self._forget_all_but(wanted)
        return {each: self._numbers.get(each) or self._give(each) for each in wanted}

    def _give(self, each: Meaning) -> int:
        if len(self._taken) >= self._size - 1:
            raise LocalError(f"there are no more than {self._size - 1} numbers for grants")
        low = int.from_bytes(sha256(each).digest()[:8], "big") % self._size
        # Zero is the mark of a connection that nobody marked.
        while low == 0 or self._prefix | low in self._taken:
            low = (low + 1) % self._size
        number = self._prefix | low
        self._numbers[each] = number
        self._taken.add(number)
        return number

    def _forget_all_but(self, wanted: list[Meaning]) -> None:
        self._numbers = {each: self._numbers[each] for each in wanted if each in self._numbers}
        self._taken = set(self._numbers.values())


def grant_ids() -> Numbers:
    """Return the space of grant ids, the marks of connections."""
    return Numbers(prefix=GID_PREFIX, bits=(~GID_MASK & 0xFFFF_FFFF).bit_length())


def class_numbers() -> Numbers:
    """Return the space of class numbers."""
    return Numbers(prefix=0, bits=32)
