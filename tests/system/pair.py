"""Two machines on one cable, each with a real daemon, and the admins' folder beside them."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from node.lab.mesh import HEDGEROW, Admin, Member, wait_until
from node.lab.netns import Host, Lab, address

GATE_PORT = 41_641
ADDRESSES = {"gate": "198.18.0.1", "laptop": "198.18.0.2"}
_counter = itertools.count()

HEAD = """
schema = 1
mesh = "acme"
[defaults]
lease = "{lease}"
[devices.gate]
[devices.laptop]
"""
RULE = """
[[rule]]
id = "{id}"
from = ["device:laptop"]
to = ["device:gate"]
allow = ["{allow}"]
"""


class Pair:
    """A mesh of the gate, approved by request, and the laptop, enrolled by invite."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        hosts = {name: lab.host(name) for name in ADDRESSES}
        lab.link(hosts["gate"], hosts["laptop"], names=("eth0", "eth0"))
        for name, ip in ADDRESSES.items():
            address(hosts[name], "eth0", f"{ip}/24")
        self.gate = Member(hosts["gate"], folder / "gate")
        self.laptop = Member(hosts["laptop"], folder / "laptop")
        self.admin = Admin(folder, "acme")
        self.version = 0

    def found(self) -> None:
        """Let the gate in with a first bundle, and bring it up."""
        self.sign(RULE.format(id="ssh", allow="tcp/22"))
        request = self.gate.run("join", "--request", "--name", "gate").strip()
        approval = self.folder / "gate.approval"
        self.admin.run("approve", request, "--out", str(approval))
        self.gate.run("join", "--approval", str(approval))
        self.gate.run("up", "--background", "--port", str(GATE_PORT))
        self._learn(self.gate)

    def invite(self) -> str:
        """Return an invite for the laptop."""
        via = f"gate={ADDRESSES['gate']}:{GATE_PORT}"
        return self.admin.invite("--name", "laptop", "--via", via)

    def enrol(self) -> None:
        """Enrol the laptop, bring it up, and wait until its bundle is in force."""
        self.laptop.join(self.invite())
        self.laptop.up()
        self.wait_for(self.laptop, self.version)

    def sign(self, rules: str, *, lease: str = "1m") -> Path:
        """Sign a policy with these rules as the next bundle."""
        self.version += 1
        policy = self.folder / f"policy-{self.version}.toml"
        policy.write_text(HEAD.format(lease=lease) + rules)
        bundle = self.folder / f"bundle-{self.version}.hgb"
        self.admin.sign(policy, bundle)
        return bundle

    def revoke(self, device_id: str) -> Path:
        """Sign a revocation."""
        path = self.folder / "revoke"
        self.admin.run("revoke", device_id, "--out", str(path))
        return path

    def wait_for(self, member: Member, version: int) -> None:
        """Wait until a member has adopted a bundle."""
        wait_until(
            lambda: member.status()["bundle"]["version"] == version,
            seconds=10,
            what=f"{member.name} to adopt bundle {version}",
        )

    def can_reach(self, port: int, *, seconds: float = 1.0) -> bool:
        """Say whether the laptop can open a TCP connection to the gate now."""
        target = {"host": self.gate.overlay4, "port": port, "seconds": seconds}
        (result,) = self.laptop.probe([target])
        return bool(result["observed"] == "open")

    def terminate(self, member: Member) -> None:
        """Stop a daemon as a service manager does, and wait for its end."""
        pid = member.daemon_pid()
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: member.daemon_pid() is None, seconds=5, what="the daemon to stop")

    def _learn(self, member: Member) -> None:
        me = member.status()["self"]
        member.overlay4, member.device_id = me["overlay4"], me["id"]


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Make two machines, and remove everything afterwards."""
    with Lab(f"hgp{os.getpid()}n{next(_counter)}") as lab:
        yield Pair(lab, folder)


def attempt(
    host: Host, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one `hedgerow` command on a machine and return how it ended, whichever way."""
    return subprocess.run(
        host.inside(*HEDGEROW, *arguments),
        text=True,
        capture_output=True,
        timeout=40,
        check=False,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
    )


def tables(host: Host) -> str:
    """Return the firewall tables of a machine."""
    return host.run("nft", "list", "tables")


def pause(seconds: float) -> None:
    """Let real time pass, where only that can show what is claimed."""
    time.sleep(seconds)
