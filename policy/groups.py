"""Groups within groups."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from policy.issuers import Claim

T = TypeVar("T", str, Claim)


def flatten(
    users: Mapping[str, set[T]], nested: Mapping[str, Sequence[str]]
) -> tuple[Mapping[str, tuple[T, ...]], Sequence[tuple[str, ...]]]:
    """Give every group all its users (or claims), those of nested groups included, and the cycles.

    Args:
        users: The users each group lists itself.
        nested: The groups each group lists; one that is not there counts as empty.
    """
    done: dict[str, set[T]] = {}
    waiting = {name: {each for each in inner if each in users} for name, inner in nested.items()}
    while True:
        ready = [name for name, inner in waiting.items() if inner <= done.keys()]
        if not ready:
            break
        for name in ready:
            done[name] = users[name].union(*(done[each] for each in waiting.pop(name)))
    return {name: tuple(sorted(members)) for name, members in done.items()}, _cycles(waiting)


def _cycles(waiting: Mapping[str, set[str]]) -> Sequence[tuple[str, ...]]:
    """Find a cycle behind each group that never became ready; each cycle once."""
    cycles: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for start in sorted(waiting):
        way: list[str] = []
        name = start
        while name not in seen and name not in way:
            way.append(name)
            name = min(each for each in waiting[name] if each in waiting)
        if name in way:
            cycles.append(tuple(way[way.index(name) :]))
        seen.update(way)
    return cycles
