"""Network namespaces, the links between them, and the processes inside them.

Everything a `Lab` makes carries its prefix, and `Lab.close` removes all of it: several labs
coexist on one machine, and a lab that dies half built leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from node.lab.errors import LabError

COMMAND_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 2.0
USERSPACE_SOCKETS = Path("/var/run/wireguard")


def run(*argv: str, stdin: str | None = None) -> str:
    """Run one command to its end and return what it printed.

    Raises:
        LabError: the command failed, with its own words.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )
    except FileNotFoundError as error:
        raise LabError(
            f"the command {argv[0]!r} is not installed",
            remedy="run scripts/install-system-packages as root",
        ) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise LabError(f"`{' '.join(argv)}` failed: {words}", remedy="run as root on Linux")
    return done.stdout


@dataclass
class Host:
    """One namespace: a machine of the lab."""

    name: str
    namespace: str
    addresses: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def inside(self, *argv: str) -> list[str]:
        """Return the command line that runs `argv` in this namespace."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """Run one command in this namespace and return what it printed."""
        return run(*self.inside(*argv), stdin=stdin)

    def start(
        self,
        *argv: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command in this namespace; it ends with the lab at the latest."""
        full = None if env is None else {**os.environ, **env}
        process = subprocess.Popen(
            self.inside(*argv), text=True, stdin=stdin, stdout=stdout, stderr=stderr, env=full
        )
        self.processes.append(process)
        return process

    def pids(self) -> tuple[int, ...]:
        """Return the processes that live in this namespace."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace], text=True, capture_output=True, check=False
        )
        return tuple(int(word) for word in listed.stdout.split())

    def interfaces(self) -> tuple[str, ...]:
        """Return the names of the interfaces here, loopback apart."""
        lines = self.run("ip", "-br", "link").splitlines()
        names = (line.split()[0].split("@")[0] for line in lines if line.strip())
        return tuple(name for name in names if name != "lo")


class Lab:
    """A set of namespaces that come and go together.

    Args:
        prefix: begins the name of every namespace, so that labs do not meet.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.hosts: dict[str, Host] = {}
        self._links = 0

    def __enter__(self) -> Self:
        """Require what a lab needs before the first namespace is made."""
        require_root()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove everything, however the block ended."""
        self.close()

    def host(self, name: str, *, forwards: bool = False) -> Host:
        """Make a namespace with loopback up; `forwards` makes it a router."""
        host = Host(name, f"{self.prefix}-{name}")
        run("ip", "netns", "add", host.namespace)
        self.hosts[name] = host
        host.run("ip", "link", "set", "lo", "up")
        if forwards:
            host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        return host

    def link(self, left: Host, right: Host, *, names: tuple[str, str]) -> None:
        """Join two hosts by a virtual cable whose ends have the given names."""
        self._links += 1
        run(
            *("ip", "link", "add", names[0], "netns", left.namespace, "type", "veth"),
            *("peer", "name", names[1], "netns", right.namespace),
        )
        left.run("ip", "link", "set", names[0], "up")
        right.run("ip", "link", "set", names[1], "up")

    @classmethod
    def adopt(cls, prefix: str) -> Lab:
        """Take over a lab that an earlier process left up, in order to close it.

        Raises:
            LabError: there is none of that name.
        """
        lab = cls(prefix)
        for line in run("ip", "netns", "list").splitlines():
            namespace = line.split()[0]
            begins, _, name = namespace.partition("-")
            if begins == prefix and name:
                lab.hosts[name] = Host(name, namespace)
        if not lab.hosts:
            raise LabError(
                f"there is no lab called {prefix!r}",
                remedy="`ip netns list` shows what is there; a lab's name is the part before '-'",
            )
        return lab

    def close(self) -> None:
        """Stop every process of the lab and remove every namespace. Safe to call twice."""
        hosts = tuple(self.hosts.values())
        sockets = [path for host in hosts for path in _userspace_sockets(host)]
        _stop(hosts)
        for host in hosts:
            subprocess.run(
                ["ip", "netns", "del", host.namespace], capture_output=True, check=False
            )
            for process in host.processes:
                process.communicate()
        for path in sockets:
            path.unlink(missing_ok=True)
        self.hosts.clear()


def address(host: Host, interface: str, cidr: str, *, gateway: str | None = None) -> None:
    """Give an interface an address and, if named, the host its default route."""
    host.run("ip", "address", "add", cidr, "dev", interface)
    host.addresses[interface] = cidr.partition("/")[0]
    if gateway is not None:
        host.run("ip", "route", "replace", "default", "via", gateway)


def require_root() -> None:
    """Refuse early, and say why, where no lab can be made.

    Raises:
        LabError: not root, or a command is missing.
    """
    if os.geteuid() != 0:
        raise LabError(
            "network namespaces can only be made by root", remedy="run the command with sudo"
        )
    for command in ("ip", "nft"):
        if shutil.which(command) is None:
            raise LabError(
                f"the command {command!r} is not installed",
                remedy="run scripts/install-system-packages as root",
            )


@contextlib.contextmanager
def ended_by_signals(
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGHUP),
) -> Iterator[None]:
    """Turn signals that would kill this process into SystemExit, so that labs are removed."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _userspace_sockets(host: Host) -> list[Path]:
    """The control sockets that wireguard-go leaves when it is killed hard."""
    with contextlib.suppress(LabError):
        paths = (USERSPACE_SOCKETS / f"{name}.sock" for name in host.interfaces())
        return [path for path in paths if path.exists()]
    return []


def _stop(hosts: Sequence[Host]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + STOP_SECONDS_MAX
        left = [pid for host in hosts for pid in host.pids()]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while left and time.monotonic() < until:
            time.sleep(0.02)
            left = [pid for host in hosts for pid in host.pids()]
