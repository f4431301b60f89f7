"""How much of WireGuard's own throughput is left with Hedgerow's firewall on it.

Two network namespaces, one cable. In turn, many times over: a tunnel set up by hand (wireguard-go,
`ip`, `wg`) without any firewall, then Hedgerow's tunnel with its firewall at both ends, with 10
grants and with 10,000. Each turn of ours has a turn by hand right beside it, before it in one
round and after it in the next, so that what else this machine does falls on both alike. Each
pair gives one ratio, and the median of the pairs counts. The processor's time for a gigabyte, of
all programs and of the kernel's work on their behalf, is shown beside it.

    sudo .venv/bin/python -m bench.dataplane
    sudo .venv/bin/python -m bench.dataplane --json
"""

import argparse
import contextlib
import json
import resource
import signal
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crypto.agreement import x25519_public
from node.kernel.firewall import Firewall
from node.lab.netns import require_root
from tests.kernel.tunnel import IN, OUT, TCP, Grant, Machine, direction, named, tunnel
from tests.netns import Namespace, command

PORT = 5201
NEEDED = 0.95
GRANTS = (10, 10_000)
# Before each turn the machine shall be as good as idle for a moment, but nobody waits for long.
QUIET_SECONDS = 0.3
QUIET_SECONDS_MAX = 5.0
BUSY_SHARE_MAX = 0.15


@dataclass(frozen=True)
class Turn:
    """What one connection carried.

    Attributes:
        mbits: Megabits per second.
        cpu: Seconds of processor time for a gigabyte.
    """

    mbits: float
    cpu: float


@dataclass
class Pairs:
    """The turns with one number of grants, each with the turn by hand beside it."""

    grants: int
    ours: list[Turn] = field(default_factory=list)
    by_hand: list[Turn] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Our throughput by that of the tunnel by hand, pair by pair."""
        return [one.mbits / two.mbits for one, two in zip(self.ours, self.by_hand, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def cpu_ratio(self) -> float:
        """The median of our processor time by that of the tunnel by hand."""
        return statistics.median(
            one.cpu / two.cpu for one, two in zip(self.ours, self.by_hand, strict=True)
        )


def main() -> int:
    """Measure, print, and return 0 when every ratio is as good as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of each kind (default 10)")
    parser.add_argument("--seconds", type=int, default=1, help="of each turn (default 1)")
    parser.add_argument(
        "--wait",
        type=float,
        default=QUIET_SECONDS_MAX,
        help="seconds at most for the machine to be idle before each turn (default 5)",
    )
    arguments = parser.parse_args()
    require_root()
    # An ended benchmark takes its namespaces and tunnels with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    begin = time.monotonic()
    results = measure(arguments.rounds, arguments.seconds, arguments.wait)
    took = time.monotonic() - begin
    if arguments.json:
        print(json.dumps(document(results, took), indent=2))
    else:
        print(table(results, took))
    return 0 if all(pairs.ratio >= NEEDED for pairs in results) else 1


def measure(rounds: int, seconds: int, wait: float) -> list[Pairs]:
    """Run all turns."""
    results = [Pairs(grants) for grants in GRANTS]
    with tunnel() as (a, b), by_hand(a, b) as target, server(b):
        for number in range(rounds):
            for pairs in results:
                for hand in (True, False) if number % 2 else (False, True):
                    address = bare(a, b, target) if hand else guarded(a, b, pairs.grants)
                    quiet(wait)
                    turn = iperf(a, b, address, seconds)
                    (pairs.by_hand if hand else pairs.ours).append(turn)
    return results


def quiet(seconds_max: float) -> None:
    """Wait until nothing else runs, what the kernel cleans up after a table included."""
    end = time.monotonic() + seconds_max
    while time.monotonic() < end:
        before = _busy_and_all()
        time.sleep(QUIET_SECONDS)
        busy, ticks = (one - two for one, two in zip(_busy_and_all(), before, strict=True))
        if busy <= BUSY_SHARE_MAX * ticks:
            return


def _busy_and_all() -> tuple[int, int]:
    """Return the ticks that all processors were busy, and all their ticks (proc(5))."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


@contextlib.contextmanager
def by_hand(a: Machine, b: Machine) -> Iterator[str]:
    """Set up a second tunnel as an administrator would; yield the far end's address."""
    names = {1: named(), 2: named()}
    try:
        for machine, other in ((a, b), (b, a)):
            name, run = names[machine.number], machine.namespace.run
            run("wireguard-go", name)
            peer = b64encode(x25519_public(_hand_key(other))).decode()
            key = b64encode(_hand_key(machine)).decode()
            run("wg", "set", name, "listen-port", "51900", "private-key", "/dev/stdin", text=key)
            run("wg", "set", name, "peer", peer, "endpoint", f"{other.underlay}:51900",
                "allowed-ips", f"10.99.0.{other.number}/32")  # fmt: skip
            run("ip", "addr", "add", f"10.99.0.{machine.number}/24", "dev", name)
            run("ip", "link", "set", name, "mtu", "1420", "up")
        yield "10.99.0.2"
    finally:
        for machine in (a, b):
            machine.namespace.run("ip", "link", "del", names[machine.number], check=False)


def _hand_key(machine: Machine) -> bytes:
    return bytes([machine.number + 100]) * 32


@contextlib.contextmanager
def server(b: Machine) -> Iterator[None]:
    """Run an iperf3 server."""
    process = b.namespace.start("iperf3", "-s", "-p", str(PORT))
    try:
        yield
    finally:
        process.terminate()


def bare(a: Machine, b: Machine, target: str) -> str:
    """Take both firewalls away; return where the tunnel by hand leads."""
    for machine in (a, b):
        machine.namespace.wait(machine.firewall.remove)
    return target


def guarded(a: Machine, b: Machine, grants: int) -> str:
    """Put both firewalls up with so many grants each; return where Hedgerow's tunnel leads."""
    first = PORT - grants // 2

    def listed(gid: int) -> list[Grant]:
        return [(TCP, first + n, first + n, gid + n, None) for n in range(grants)]

    for machine in (a, b):
        machine.firewall = Firewall()
        machine.install()
    a.grant(None, direction(b, listed(OUT)))
    b.grant(direction(a, listed(IN)))
    return str(b.address4)


def iperf(a: Machine, b: Machine, address: str, seconds: int) -> Turn:
    """Let one TCP connection carry what it can for so long."""
    deadline = time.monotonic() + 10
    while True:
        before = _cpu_seconds(a.namespace, b.namespace)
        done = subprocess.run(
            ["ip", "netns", "exec", a.namespace.name, "iperf3", "-c", address, "-p", str(PORT),
             "-t", str(seconds), "-J"],
            capture_output=True, text=True, timeout=seconds + 30, check=False,
        )  # fmt: skip
        spent = _cpu_seconds(a.namespace, b.namespace) - before
        found = json.loads(done.stdout or "{}")
        if "error" not in found and "end" in found:
            received = found["end"]["sum_received"]
            return Turn(received["bits_per_second"] / 1e6, spent / received["bytes"] * 1e9)
        # The server takes one client at a time and needs a moment after each.
        if time.monotonic() > deadline:
            raise RuntimeError(f"iperf3 to {address}: {found.get('error') or done.stderr}")
        time.sleep(0.1)


def _cpu_seconds(*namespaces: Namespace) -> float:
    """Return the processor time of all that runs in the namespaces, and of ended children."""
    nanoseconds = 0
    for namespace in namespaces:
        for pid in command("ip", "netns", "pids", namespace.name).split():
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return nanoseconds / 1e9 + children.ru_utime + children.ru_stime


def document(results: list[Pairs], took: float) -> dict[str, object]:
    """Return the results for machines."""
    return {
        "benchmark": "dataplane",
        "needed": NEEDED,
        "passed": all(pairs.ratio >= NEEDED for pairs in results),
        "seconds": round(took, 1),
        "kernel": command("uname", "-r").strip(),
        "results": [
            {
                "grants": pairs.grants,
                "ratio": round(pairs.ratio, 4),
                "ratios": [round(value, 4) for value in pairs.ratios],
                "cpu_ratio": round(pairs.cpu_ratio, 4),
                **{
                    name: {
                        "mbits": [round(turn.mbits, 1) for turn in turns],
                        "cpu_seconds_per_gigabyte": [round(turn.cpu, 2) for turn in turns],
                    }
                    for name, turns in (("by_hand", pairs.by_hand), ("ours", pairs.ours))
                },
            }
            for pairs in results
        ],
    }


def table(results: list[Pairs], took: float) -> str:
    """Return the results for people."""
    lines = [
        f"{'grants':>8}{'by hand':>10}{'ours':>8} Mbit/s{'ratio':>8}{'quartiles':>14}{'cpu':>8}"
    ]
    for pairs in results:
        hand, ours = (
            statistics.median(turn.mbits for turn in turns)
            for turns in (pairs.by_hand, pairs.ours)
        )
        low, _, high = (
            statistics.quantiles(pairs.ratios) if len(pairs.ratios) > 1 else pairs.ratios * 3
        )
        lines.append(
            f"{pairs.grants:8,}{hand:10.0f}{ours:8.0f}       {pairs.ratio:8.3f}"
            f"{f'{low:.2f}-{high:.2f}':>14}{pairs.cpu_ratio:8.3f}"
        )
    lines.append(f"needed {NEEDED}; {len(results[0].ours)} pairs each, in {took:.0f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
