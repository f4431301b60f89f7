"""What a node costs: memory, processor at rest, and start.

A mesh of six daemons in network namespaces on one wire, with rules between all of them. Each
daemon's start is counted from exec to READY. Then the mesh is left alone: after a while in which
it settles, processor time and wake-ups are read at both ends of a window. Memory is read at its
end. All figures are those of the daemon's process; that of wireguard-go, where the kernel has no
WireGuard, is shown beside it.

    sudo .venv/bin/python -m bench.footprint
    sudo .venv/bin/python -m bench.footprint --members 3 --seconds 300 --json
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path

from node.lab.mesh import Admin, Member, wait_until
from node.lab.netns import Lab, address, ended_by_signals

PORT = 41_830
SETTLE_SECONDS = 20.0
TICK = os.sysconf("SC_CLK_TCK")
# What goals ask for: megabytes resident, CPU seconds a minute.
RSS_NEEDED = 60.0
CPU_NEEDED = 0.03

POLICY = """
schema = 1
mesh = "footprint"
{devices}
[[rule]]
id = "ssh"
from = [{names}]
to = [{names}]
allow = ["tcp/22"]
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's memory in megabytes, as /proc/PID/smaps_rollup counts it."""

    rss: float
    pss: float
    anonymous: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a process and all its threads have done so far.

    Attributes:
        cpu: processor seconds, of the process and of the children it waited for.
        wakes: voluntary context switches: how often it went to sleep, so how often it woke.
    """

    cpu: float
    wakes: int


@dataclass(slots=True)
class Daemon:
    """One daemon's figures.

    Attributes:
        name: the machine.
        start_cpu: processor seconds from exec to READY, children included.
        start_seconds: the same by the wall.
        memory: at the end of the window.
        tunnel: wireguard-go's, or None.
        cpu_minute: processor seconds a minute at rest.
        wakes_minute: wake-ups a minute at rest.
    """

    name: str
    start_cpu: float = 0.0
    start_seconds: float = 0.0
    memory: Memory = field(default_factory=lambda: Memory(0.0, 0.0, 0.0))
    tunnel: Memory | None = None
    cpu_minute: float = 0.0
    wakes_minute: float = 0.0


def main() -> int:
    """Measure, print, and say by the exit code whether the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the window")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="hgfoot-") as folder,
        Lab(f"hgf{os.getpid()}") as lab,
    ):
        daemons = measure(lab, Path(folder), options.members, options.seconds)
    result = document(daemons, options.seconds)
    print(json.dumps(result, indent=2) if options.json else table(daemons, options.seconds))
    return 0 if result["passed"] else 1


def measure(lab: Lab, folder: Path, count: int, seconds: float) -> list[Daemon]:
    """Bring the mesh up, leave it alone, and return every daemon's figures."""
    members = mesh(lab, folder, count)
    daemons = [started(member) for member in members]
    time.sleep(SETTLE_SECONDS)
    pids = [pid_of(member) for member in members]
    before, began = [work(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    minutes = (time.monotonic() - began) / 60
    for daemon, member, pid, then in zip(daemons, members, pids, before, strict=True):
        now = work(pid)
        daemon.cpu_minute = (now.cpu - then.cpu) / minutes
        daemon.wakes_minute = (now.wakes - then.wakes) / minutes
        daemon.memory = memory(pid)
        daemon.tunnel = next((memory(each) for each in tunnels(member)), None)
    return daemons


def mesh(lab: Lab, folder: Path, count: int) -> list[Member]:
    """Make machines on one bridge and let them join; no daemon runs when this returns.

    Every daemon runs once to be sponsored, so that what is measured later is a node at rest.
    """
    wire = lab.host("wire")
    wire.run("ip", "link", "add", "br0", "type", "bridge")
    wire.run("ip", "link", "set", "br0", "up")
    members = [plug(lab, folder, number) for number in range(count)]
    admin = Admin(folder, "footprint")
    first = members[0]
    request = first.run("join", "--request", "--name", first.name).strip()
    admin.run("approve", request, "--out", str(folder / "approval"))
    policy, bundle = folder / "policy.toml", folder / "bundle.hgb"
    policy.write_text(policy_text(member.name for member in members))
    admin.sign(policy, bundle)
    first.run("join", "--approval", str(folder / "approval"))
    first.run("up", "--background", "--port", str(PORT))
    first.run("publish", str(bundle))
    for member in members[1:]:
        via = f"{first.name}=198.18.0.1:{PORT}"
        member.join(admin.invite("--name", member.name, "--via", via))
        member.up()
    for member in members:
        wait_until(lambda each=member: sees(each, count - 1), seconds=60, what=member.name)  # type: ignore[misc]
    for member in members:
        member.kill()
    return members


def plug(lab: Lab, folder: Path, number: int) -> Member:
    """Make one machine and put it on the wire."""
    name = f"m{number + 1}"
    host = lab.host(name)
    lab.link(lab.hosts["wire"], host, names=(f"p{number + 1}", "eth0"))
    lab.hosts["wire"].run("ip", "link", "set", f"p{number + 1}", "master", "br0")
    address(host, "eth0", f"198.18.0.{number + 1}/16")
    return Member(host, folder / name)


def policy_text(names: Iterable[str]) -> str:
    """Return a policy that lets every machine reach every other."""
    known = tuple(names)
    return POLICY.format(
        devices="\n".join(f"[devices.{name}]" for name in known),
        names=", ".join(f'"device:{name}"' for name in known),
    )


def sees(member: Member, others: int) -> bool:
    """Say whether a member enforces the bundle and has so many peers alive."""
    status = member.status()
    alive = sum(peer["state"] == "alive" for peer in status["peers"])
    return bool(status["bundle"]["version"] == 1) and alive == others


def started(member: Member) -> Daemon:
    """Start a daemon and return what that took."""
    began = time.monotonic()
    member.run("up", "--background")
    took = time.monotonic() - began
    return Daemon(member.name, start_cpu=work(pid_of(member)).cpu, start_seconds=took)


def pid_of(member: Member) -> int:
    """Return the daemon's process number."""
    pid = member.daemon_pid()
    if pid is None:
        raise SystemExit(f"no daemon runs on {member.name}")
    return pid


def tunnels(member: Member) -> list[int]:
    """Return the process numbers of wireguard-go on a machine."""
    return [
        pid
        for pid in member.host.pids()
        if Path(f"/proc/{pid}/comm").read_text().strip().startswith("wireguard-go")
    ]


def work(pid: int) -> Work:
    """Read what a process has done so far (proc(5))."""
    nanoseconds = wakes = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
        wakes += _field(task / "status", "voluntary_ctxt_switches:")
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # cutime and cstime: nft is a child of every change of the firewall.
    children = (int(words[13]) + int(words[14])) / TICK
    return Work(nanoseconds / 1e9 + children, wakes)


def memory(pid: int) -> Memory:
    """Read a process's memory (proc(5))."""
    path = Path(f"/proc/{pid}/smaps_rollup")
    return Memory(*(_field(path, name) / 1024 for name in ("Rss:", "Pss:", "Anonymous:")))


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def document(daemons: list[Daemon], seconds: float) -> dict[str, object]:
    """Return the results for machines."""
    rss = statistics.median(daemon.memory.rss for daemon in daemons)
    cpu = statistics.median(daemon.cpu_minute for daemon in daemons)
    return {
        "benchmark": "footprint",
        "needed": {"rss_megabytes": RSS_NEEDED, "cpu_seconds_per_minute": CPU_NEEDED},
        "passed": rss <= RSS_NEEDED and cpu <= CPU_NEEDED,
        "window_seconds": seconds,
        "rss_megabytes": round(rss, 1),
        "cpu_seconds_per_minute": round(cpu, 4),
        "daemons": [asdict(daemon) for daemon in daemons],
    }


def table(daemons: list[Daemon], seconds: float) -> str:
    """Return the results for people."""
    columns = (7, 7, 7, 12, 12, 10, 10, 15)
    heads = (
        "RSS MB",
        "PSS",
        "anon",
        "CPU s/min",
        "wakes/min",
        "start CPU",
        "start s",
        "tunnel MB",
    )
    lines = [" " * 6 + "".join(map(str.rjust, heads, columns))]
    for daemon in daemons:
        values = (
            *(f"{value:.1f}" for value in astuple(daemon.memory)),
            f"{daemon.cpu_minute:.4f}",
            f"{daemon.wakes_minute:.0f}",
            f"{daemon.start_cpu:.2f}",
            f"{daemon.start_seconds:.2f}",
            f"{daemon.tunnel.rss:.1f}" if daemon.tunnel else "-",
        )
        lines.append(f"{daemon.name:6}" + "".join(map(str.rjust, values, columns)))
    lines.append(
        f"needed: RSS {RSS_NEEDED:.0f} MB, {CPU_NEEDED} CPU s/min; medians count; "
        f"{len(daemons)} daemons over {seconds:.0f} s"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
