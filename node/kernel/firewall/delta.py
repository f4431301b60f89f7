"""The difference between two contents of the table, as text for one `nft -f -` transaction.

Pure, and as long as the difference: a change of one device costs a few lines, whatever the size
of the table.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from node.engine.desired import Address, LiveKey, PortKey
from node.kernel.firewall.content import Content

# Elements a command carries: enough to be cheap, few enough to read one.
ELEMENTS_PER_COMMAND = 500

# Ten years: beyond any grant, and within what the kernel can keep in jiffies.
TIMEOUT_MAX_MILLISECONDS = 3650 * 86_400_000

_DAY_MILLISECONDS = 86_400_000

# Set name to the elements that a command lists.
_Batch = dict[str, list[str]]
_Key = TypeVar("_Key", bound=Hashable)


def diff(installed: Content, wanted: Content, now: float, *, table: str) -> list[str]:
    """Return the commands that turn `installed` into `wanted` at `now`; none when equal.

    A live element with a deadline is removed by "add, delete": the kernel may have let it lapse
    by itself, and deleting what is not there would fail the whole transaction ("destroy" needs
    nft 1.0.7). A changed deadline is "add, delete, add", because older kernels ignore the timeout
    of an element that is there already.
    """
    lapsing: _Batch = {}
    removed: _Batch = {}
    added: _Batch = {}
    sides = (
        ("in", installed.in_classes, wanted.in_classes, installed.in_ports, wanted.in_ports),
        ("out", installed.out_classes, wanted.out_classes, installed.out_ports, wanted.out_ports),
    )
    for side, classes, new_classes, ports, new_ports in sides:
        _diff_map(classes, new_classes, removed, added, _ClassKey(side))
        _diff_map(ports, new_ports, removed, added, _PortElement(side))
    _diff_live(installed.live, wanted.live, now, lapsing=lapsing, removed=removed, added=added)
    return [
        *_commands("add", table, lapsing),
        *_commands("delete", table, lapsing),
        *_commands("delete", table, removed),
        *_commands("add", table, added),
    ]


class _ClassKey:
    """Names the set and the element of a peer's class."""

    __slots__ = ("_sets",)

    def __init__(self, side: str) -> None:
        self._sets = {4: f"{side}_class4", 6: f"{side}_class6"}

    def __call__(self, address: Address) -> tuple[str, str]:
        return self._sets[address.version], str(address)


class _PortElement:
    """Names the set and the element of a class's port range, protocol, or everything."""

    __slots__ = ("_side",)

    def __init__(self, side: str) -> None:
        self._side = side

    def __call__(self, key: PortKey) -> tuple[str, str]:
        if key.proto is None:
            return f"{self._side}_any", f"{key.cls:#x}"
        if key.lo is None:
            return f"{self._side}_protos", f"{key.cls:#x} . {key.proto}"
        # A single port is written as a range too: nft 1.0.6 cannot delete it otherwise.
        return f"{self._side}_ports", f"{key.cls:#x} . {key.proto} . {key.lo}-{key.hi}"


def _diff_map(
    installed: Mapping[_Key, int],
    wanted: Mapping[_Key, int],
    removed: _Batch,
    added: _Batch,
    element: Callable[[_Key], tuple[str, str]],
) -> None:
    if installed is wanted:
        return
    for key, value in installed.items():
        if wanted.get(key) != value:
            name, text = element(key)
            removed.setdefault(name, []).append(text)
    for key, value in wanted.items():
        if installed.get(key) != value:
            name, text = element(key)
            added.setdefault(name, []).append(f"{text} : {value:#x}")


def _diff_live(
    installed: Mapping[LiveKey, float | None],
    wanted: Mapping[LiveKey, float | None],
    now: float,
    *,
    lapsing: _Batch,
    removed: _Batch,
    added: _Batch,
) -> None:
    if installed is wanted:
        return
    missing = object()
    for key, until in installed.items():
        if wanted.get(key, missing) != until:
            batch = removed if until is None else lapsing
            name, text = _live_element(key)
            batch.setdefault(name, []).append(text)
    for key, until in wanted.items():
        if installed.get(key, missing) != until:
            name, text = _live_element(key)
            if until is not None:
                text = f"{text} timeout {render_timeout(until - now)}"
            added.setdefault(name, []).append(text)


def _live_element(key: LiveKey) -> tuple[str, str]:
    address, gid = key
    return f"live{address.version}", f"{address} . {gid:#x}"


def render_timeout(seconds: float) -> str:
    """Return a timeout in nft's syntax, to the millisecond, never longer than `seconds`.

    nft refuses a bare number of milliseconds beyond 32 bits, so a day and more is split up.
    """
    milliseconds = max(1, min(int(seconds * 1000), TIMEOUT_MAX_MILLISECONDS))
    if milliseconds < _DAY_MILLISECONDS:
        return f"{milliseconds}ms"
    whole_seconds, rest = divmod(milliseconds, 1000)
    days, whole_seconds = divmod(whole_seconds, 86_400)
    return (
        f"{days}d{whole_seconds // 3600}h{whole_seconds // 60 % 60}m{whole_seconds % 60}s{rest}ms"
    )


def _commands(verb: str, table: str, batch: _Batch) -> list[str]:
    return [
        f"{verb} element inet {table} {name} {{ "
        + ", ".join(elements[start : start + ELEMENTS_PER_COMMAND])
        + " }"
        for name, elements in batch.items()
        for start in range(0, len(elements), ELEMENTS_PER_COMMAND)
    ]
