"""A mesh of real daemons in a lab, made with the commands that people use.

Nothing here reaches into the product: it runs `hedgerow …` in each machine's namespace, so what
it shows is what an operator and an admin would see.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.api.client import Client
from node.lab.errors import LabError
from node.lab.netns import Host

HEDGEROW = (sys.executable, "-m", "node.cli.main")
TRAFFIC = (sys.executable, "-m", "node.lab.traffic")
COMMAND_SECONDS_MAX = 40.0


def hedgerow(*arguments: str, host: Host | None = None, env: dict[str, str] | None = None) -> str:
    """Run one `hedgerow` command, in a machine's namespace or outside, and return its stdout.

    Raises:
        LabError: the command failed; the message is its stderr.
    """
    argv = list(HEDGEROW) + list(arguments)
    command = argv if host is None else host.inside(*argv)
    done = subprocess.run(
        command,
        text=True,
        capture_output=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        words = done.stderr.strip() or done.stdout.strip()
        raise LabError(f"`hedgerow {' '.join(arguments)}` failed: {words}")
    return done.stdout


class Admin:
    """The offline machine: a folder with encrypted keys, of which two of three sign.

    Args:
        folder: an empty folder for the keys, the root and the bundles.
        mesh: the mesh's name.
    """

    def __init__(self, folder: Path, mesh: str) -> None:
        self.folder = folder / "admin"
        self._phrase = folder / "passphrase"
        self._phrase.touch(mode=0o600)
        self._phrase.write_text(secrets.token_urlsafe(18) + "\n")
        self.run("init", mesh, "--keys", "3", "--threshold", "2")
        self.keys = tuple(sorted(self.folder.glob("**/*.key")))

    def run(self, verb: str, *arguments: str) -> str:
        """Run `hedgerow admin VERB …` on this folder and return its stdout."""
        env = {"HEDGEROW_PASSPHRASE_FILE": str(self._phrase)}
        return hedgerow("admin", verb, *arguments, "--dir", str(self.folder), env=env)

    def sign(self, policy: Path, out: Path) -> None:
        """Sign a policy with two of the three keys."""
        keys = [word for key in self.keys[:2] for word in ("--key", str(key))]
        self.run("sign", str(policy), *keys, "--out", str(out))

    def invite(self, *arguments: str) -> str:
        """Return the text of a new invite."""
        answer: dict[str, str] = json.loads(self.run("invite", *arguments, "--json"))
        return answer["invite"]


@dataclass
class Member:
    """One machine of the mesh and its daemon.

    Attributes:
        host: its namespace.
        state: its state directory.
    """

    host: Host
    state: Path
    overlay4: str = ""
    device_id: str = ""
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.host.name

    def run(self, *arguments: str) -> str:
        """Run one `hedgerow` command on this machine and return its stdout."""
        return hedgerow("--state", str(self.state), *arguments, host=self.host)

    def join(self, invite: str) -> None:
        """Take an invite."""
        self.run("join", invite)

    def up(self) -> None:
        """Start the daemon and return when it serves."""
        self.run("up", "--background")
        me = self.status()["self"]
        self.overlay4, self.device_id = me["overlay4"], me["id"]

    def status(self) -> dict[str, Any]:
        """Return `hedgerow status --json`."""
        status: dict[str, Any] = json.loads(self.run("status", "--json"))
        return status

    def enforces(self, version: int) -> bool:
        """Say whether the daemon has adopted the bundle of this version.

        Asked of the daemon's socket, as `hedgerow status` does, but without starting a process:
        this one is asked in a loop, and timed.
        """
        status = Client(self.state / "daemon.sock").get("/v1/status")
        return bool(status["bundle"]["version"] == version)

    def kill(self) -> int:
        """Kill the daemon with SIGKILL, as a crash would, and return its process number."""
        pid = self.daemon_pid()
        if pid is None:
            raise LabError(f"no daemon runs on {self.name}")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.daemon_pid() is None, seconds=5, what="the daemon to be dead")
        return pid

    def daemon_pid(self) -> int | None:
        """Return the daemon's process number, or None while it does not run."""
        wanted = str(self.state)
        for pid in self.host.pids():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if wanted in words and "up" in words:
                    return pid
        return None

    def serve(self, tcp: Sequence[int]) -> None:
        """Start echo servers on every given port, allowed or not: the policy must decide."""
        ports = ",".join(str(port) for port in tcp)
        server = self.host.start(*TRAFFIC, "serve", "--tcp", ports)
        self.servers.append(server)
        if server.stdout is None or "ready" not in server.stdout.readline():
            raise LabError(f"the echo server on {self.name} did not start")

    def probe(self, targets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Try real connections from this machine and return them with what was observed."""
        told = self.host.run(*TRAFFIC, "probe", stdin=json.dumps(list(targets)))
        results: list[dict[str, Any]] = json.loads(told.splitlines()[-1])["results"]
        return results

    def flow(self, target: Member, port: int, *, patience: float = 10.0) -> Flow:
        """Begin a long connection to another member."""
        options = ("--patience", str(patience))
        process = self.host.start(*TRAFFIC, "flow", target.overlay4, str(port), *options)
        return Flow(process)


class Flow:
    """A long connection: when it began, whether it lives, how it ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.connected_at = self._next("connected")["at"]

    def _next(self, event: str) -> dict[str, Any]:
        stream = self._process.stdout
        for line in stream or ():
            fields: dict[str, Any] = json.loads(line)
            if fields["event"] == event:
                return fields
            if fields["event"] == "ended":
                raise LabError(f"the connection ended early: {fields['how']}")
        raise LabError("the connection could not be made")

    def alive(self) -> float:
        """Wait for a fresh answer on the connection and return its time.

        Raises:
            LabError: the connection has ended.
        """
        since = time.monotonic()
        while True:
            heard = self._next("alive")["at"]
            if heard >= since:
                return float(heard)

    def ended(self) -> dict[str, Any]:
        """Wait for the end: how, when the last answer came, and when the caller noticed."""
        return self._next("ended")

    def stop(self) -> None:
        """End the connection from this side."""
        self._process.kill()
        self._process.wait()


def wait_until(true: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until a condition holds.

    Raises:
        LabError: it did not within the given seconds; `what` names it.
    """
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= until:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)
