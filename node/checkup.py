"""What `hedgerow doctor` concludes from what is found on a machine. Pure: others look, it judges.

Each finding is one line: what was looked at, whether it will do, what is so, and what to do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PACKAGES = ("crypto", "gossip", "node", "policy", "simnet")
DISTRIBUTION = "hedgerow"
# A machine whose kernel believes to be off by more is as good as not synchronised.
CLOCK_DOUBT_SECONDS_MAX = 1.0
_TIME_ERROR = 5


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at; these names stay.
        state: whether a node can run with it.
        text: what is so.
        remedy: what to do, or nothing.
    """

    check: str
    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the kernel knows of its clock (adjtimex(2)).

    Attributes:
        state: what the call returned.
        error_seconds: how far the kernel believes to be off at most.
    """

    state: int
    error_seconds: float


def packages(
    homes: Mapping[str, Path | None], owners: Mapping[str, Iterable[str]], home: Path
) -> Iterator[Finding]:
    """Judge whose packages stand under our import names (docs/adr/0001).

    Args:
        homes: the folder that each of our names is imported from, or None where there is none.
        owners: the installed distributions that bring each name.
        home: the folder that the running program came from.
    """
    foreign = sorted(
        {each for name in PACKAGES for each in owners.get(name, ()) if each != DISTRIBUTION}
    )
    if foreign:
        yield Finding(
            "packages",
            State.FAILED,
            f"other distributions here bring packages of our names: {', '.join(foreign)}",
            f"uninstall them, then reinstall {DISTRIBUTION}: give it an environment of its own",
        )
    for name in PACKAGES:
        found = homes.get(name)
        if found != home:
            where = "is missing" if found is None else f"is imported from {found}, not {home}"
            yield Finding(
                "packages",
                State.FAILED,
                f"our package {name} {where}",
                f"reinstall {DISTRIBUTION} in an environment of its own, and look at PYTHONPATH",
            )
    if not foreign and all(homes.get(name) == home for name in PACKAGES):
        yield Finding("packages", State.OK, f"all of them are ours, in {home}")


def wireguard(*, module: bool, program: str | None, tun: bool) -> Finding:
    """Judge whether there is a WireGuard: the kernel's, or wireguard-go with /dev/net/tun."""
    if module:
        return Finding("wireguard", State.OK, "the kernel has it")
    if program is None:
        return Finding(
            "wireguard",
            State.FAILED,
            "neither the kernel module nor wireguard-go is here",
            "install the package wireguard-go, or a kernel with the wireguard module",
        )
    if not tun:
        return Finding(
            "wireguard",
            State.FAILED,
            "wireguard-go needs /dev/net/tun, which does not exist",
            "load the kernel module (`modprobe tun`), or give the container that device",
        )
    return Finding("wireguard", State.OK, f"in user space, by {program}; the kernel has none")


def clock(reading: ClockReading | None) -> Finding:
    """Judge whether something keeps the clock right."""
    remedy = (
        "run an NTP client (chrony, systemd-timesyncd), or set clock_skew_seconds to what it may "
        "be off"
    )
    if reading is None:
        return Finding("clock", State.WARNING, "the kernel does not tell how good it is", remedy)
    if reading.state == _TIME_ERROR:
        return Finding("clock", State.WARNING, "nothing synchronises this machine's clock", remedy)
    if reading.error_seconds > CLOCK_DOUBT_SECONDS_MAX:
        text = f"it may be off by {reading.error_seconds:.1f} seconds"
        return Finding("clock", State.WARNING, text, remedy)
    text = f"synchronised, off by {reading.error_seconds * 1e3:.0f} ms at most"
    return Finding("clock", State.OK, text)


def firewall(*, version: str | None, refusal: str | None) -> Finding:
    """Judge nftables: the program, and whether the kernel takes our rules.

    Args:
        version: what `nft --version` says, or None where there is no nft.
        refusal: why the kernel does not take our rules, "" if it does, None if nobody could ask.
    """
    if version is None:
        return Finding(
            "nftables", State.FAILED, "nft is not installed", "install the package nftables"
        )
    if refusal is None:
        return Finding(
            "nftables",
            State.WARNING,
            f"{version}; whether the kernel takes our rules was not tried",
            "run this command as root",
        )
    if refusal:
        return Finding(
            "nftables",
            State.FAILED,
            f"{version}; the kernel does not take our rules: {refusal}",
            "use a kernel from 5.10 on with nf_tables and its set, ct, fib and payload parts",
        )
    return Finding("nftables", State.OK, f"{version}; the kernel takes our rules")


def port(number: int | None, *, taken: bool, ours: bool) -> Finding:
    """Judge the UDP port: which it is, and who has it.

    Args:
        number: the kept port, or None before the first start.
        taken: whether some socket has it.
        ours: whether our own tunnel is up, which then is that socket.
    """
    if number is None:
        return Finding("port", State.OK, "chosen at the first start")
    if taken and not ours:
        return Finding(
            "port",
            State.FAILED,
            f"UDP port {number} is in use by another program",
            f"find it with `ss -lunp sport = :{number}`, or choose another: `hedgerow up --port`",
        )
    held = "held by our tunnel" if taken else "free"
    return Finding("port", State.OK, f"UDP port {number}, {held}")


def worst(findings: Iterable[Finding]) -> State:
    """Return the worst of the states."""
    order = (State.OK, State.WARNING, State.FAILED)
    return max((finding.state for finding in findings), key=order.index, default=State.OK)
