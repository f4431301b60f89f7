"""The scenes of the demo, in the order in which they are played."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from node.clock import Clock
from node.lab.company import Company, build
from node.lab.errors import LabError
from node.lab.mesh import Admin, Flow, Member, wait_until
from node.lab.netns import Lab
from node.lab.showcase.expect import expected_decisions
from node.lab.showcase.policy import OWNERS, PORTS, TAGS, policy_text
from node.lab.showcase.report import Report

GATEWAY_PORT = 41820
DAY_SECONDS = 86_400.0
# Long enough to connect and be seen alive, on top of the time that signing and spreading take.
GRANT_SECONDS = 4.0
WAIT_SECONDS = 20.0


class Showcase:
    """A mesh of six machines, from the offline keys to the enforced packet.

    Args:
        lab: where the namespaces are made.
        folder: an empty folder for keys and state.
        report: collects what is found.
    """

    def __init__(self, lab: Lab, folder: Path, report: Report) -> None:
        self.lab = lab
        self.folder = folder
        self.report = report
        self.company: Company
        self.admin: Admin
        self.members: dict[str, Member] = {}
        self.policy = folder / "policy.toml"
        self.bundles = 0
        self.signing_seconds = 0.0
        self.clock = Clock()

    def play(self) -> None:
        """Play every scene."""
        for scene in (
            self.build_company,
            self.make_mesh,
            self.join_everyone,
            self.try_everything,
            self.cut_at_deadline,
            self.cut_at_deadline_without_daemons,
            self.survive_a_crash,
            self.revoke_a_device,
        ):
            self.report.say((scene.__doc__ or scene.__name__).splitlines()[0])
            scene()

    def build_company(self) -> None:
        """The network: one internet, three NAT routers, six machines."""
        self.company = build(self.lab)
        for name, host in self.company.machines.items():
            state = self.folder / name
            self.members[name] = Member(host, state)

    def make_mesh(self) -> None:
        """The offline admins: three keys of which two sign, a policy, the first bundle."""
        self.admin = Admin(self.folder, "acme")
        now = self.clock.wall()
        self._sign(begins=now - 3600, ends=now + 7 * DAY_SECONDS)

    def join_everyone(self) -> None:
        """Six daemons: the gateway by an approved request, the others by invite."""
        self._admit_gateway()
        self._publish()
        last = "eng-laptop"
        others = [name for name in self.members if name not in ("gateway", last)]
        invites = {name: self._invite(name) for name in (*others, last)}
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._join, name, invites[name]) for name in others]:
                done.result()
        for name in ("prod-db-1", "prod-web-1"):
            self.members[name].serve(PORTS)
        self._wait_for_bundle(name for name in self.members if name != last)
        began = time.monotonic()
        self._join(last, invites[last])
        flow = self.members[last].flow(self.members["prod-db-1"], 5432)
        self.report.timing("join_to_first_tunnelled_packet", flow.connected_at - began)
        flow.stop()

    def try_everything(self) -> None:
        """Every (source, destination, port) of the policy and of its complement."""
        for name in ("gateway", "eng-laptop", "intern-laptop", "contractor-laptop"):
            self.members[name].serve(PORTS)
        self._wait_for_bundle(self.members)
        expected = expected_decisions(self.policy, tuple(self.members), self.clock.wall())
        for source in self.members.values():
            targets = [
                {"name": name, "host": member.overlay4, "port": port}
                for name, member in self.members.items()
                if name != source.name
                for port in PORTS
            ]
            for result in source.probe(targets):
                name, port = result["name"], result["port"]
                self.report.check(
                    f"{source.name} -> {name}:tcp/{port}",
                    expected=expected[source.name, name, port],
                    observed="allow" if result["observed"] == "open" else "deny",
                )

    def cut_at_deadline(self) -> None:
        """A contractor's grant ends while his connection is in use."""
        ends = self._grant_contractor()
        flow = self._contractor_flow()
        self._expect_cut(flow, ends, "grant_end_to_flow_cut")

    def cut_at_deadline_without_daemons(self) -> None:
        """The same, with the daemons of both ends killed before the deadline."""
        ends = self._grant_contractor()
        flow = self._contractor_flow()
        for name in ("contractor-laptop", "prod-web-1"):
            self.members[name].kill()
        flow.alive()
        self._expect_cut(flow, ends, "grant_end_to_flow_cut_daemons_dead")
        for name in ("contractor-laptop", "prod-web-1"):
            self.members[name].up()

    def survive_a_crash(self) -> None:
        """A daemon is killed with SIGKILL and comes back; traffic goes on throughout."""
        laptop = self.members["eng-laptop"]
        flow = laptop.flow(self.members["prod-db-1"], 5432)
        laptop.kill()
        self._alive(flow, "traffic goes on with the daemon killed")
        laptop.up()
        self._alive(flow, "traffic goes on after the daemon's restart")
        flow.stop()

    def revoke_a_device(self) -> None:
        """A device is revoked while its connection is in use."""
        intern, web = self.members["intern-laptop"], self.members["prod-web-1"]
        flow = intern.flow(web, 443)
        flow.alive()
        revocation = self.folder / "intern.revoke"
        self.admin.run(
            *("revoke", intern.device_id, "--reason", "laptop stolen"),
            *("--key", str(self.admin.keys[0]), "--out", str(revocation)),
        )
        began = time.monotonic()
        self.members["gateway"].run("publish", str(revocation))
        ended = flow.ended()
        self.report.check(
            "a revoked device's connection ends",
            expected="cut",
            observed="cut" if ended["last"] - began < WAIT_SECONDS else "alive",
        )
        self.report.timing("revocation_to_flow_cut", max(0.0, ended["last"] - began))
        (after,) = intern.probe([{"host": web.overlay4, "port": 443}])
        self.report.check(
            "a revoked device cannot come back",
            expected="deny",
            observed="allow" if after["observed"] == "open" else "deny",
        )

    # -- the steps that scenes share --------------------------------------------------------------

    def _sign(self, *, begins: float, ends: float) -> None:
        began = time.monotonic()
        self.policy.write_text(policy_text(begins=begins, ends=ends))
        self.bundles += 1
        self.admin.sign(self.policy, self._bundle)
        self.signing_seconds = time.monotonic() - began

    @property
    def _bundle(self) -> Path:
        return self.folder / f"bundle-{self.bundles}.hgb"

    def _publish(self) -> None:
        self.members["gateway"].run("publish", str(self._bundle))

    def _admit_gateway(self) -> None:
        gateway = self.members["gateway"]
        request = gateway.run("join", "--request", "--name", "gateway").split()[-1]
        tags = [word for tag in TAGS["gateway"] for word in ("--tag", tag)]
        file = self.folder / "gateway.approval"
        key = str(self.admin.keys[0])
        self.admin.run("approve", request, *tags, "--key", key, "--out", str(file))
        gateway.run("join", "--approval", str(file))
        gateway.run("up", "--background", "--port", str(GATEWAY_PORT))
        me = gateway.status()["self"]
        gateway.overlay4, gateway.device_id = me["overlay4"], me["id"]

    def _join(self, name: str, invite: str) -> None:
        self.members[name].join(invite)
        self.members[name].up()

    def _invite(self, name: str) -> str:
        words = ["--name", name, "--key", str(self.admin.keys[0])]
        words += [word for tag in TAGS.get(name, ()) for word in ("--tag", tag)]
        words += ["--owner", OWNERS[name]] if name in OWNERS else []
        via = f"gateway={self.company.gateway_address}:{GATEWAY_PORT}"
        return self.admin.invite(*words, "--via", via)

    def _wait_for_bundle(self, names: Iterable[str]) -> None:
        for name in names:
            wait_until(
                partial(self.members[name].enforces, self.bundles),
                seconds=WAIT_SECONDS,
                what=f"{name} to enforce bundle {self.bundles}",
            )

    def _grant_contractor(self) -> float:
        """Publish a bundle whose contractor grant ends soon; return its end, monotonic."""
        now = self.clock.wall()
        ends = float(int(now + 2 * self.signing_seconds + GRANT_SECONDS + 1))
        self._sign(begins=now - 3600, ends=ends)
        began = time.monotonic()
        self._publish()
        self._wait_for_bundle(self.members)
        if "bundle_published_to_enforced_everywhere" not in self.report.timings:
            took = time.monotonic() - began
            self.report.timing("bundle_published_to_enforced_everywhere", took)
        return time.monotonic() + ends - self.clock.wall()

    def _contractor_flow(self) -> Flow:
        flow = self.members["contractor-laptop"].flow(self.members["prod-web-1"], 443)
        flow.alive()
        return flow

    def _expect_cut(self, flow: Flow, ends: float, timing: str) -> None:
        ended = flow.ended()
        # The last answer may be one round trip older than the cut; the caller's own notice of
        # the end is what a person feels.
        self.report.check(
            timing.replace("_", " "),
            expected="cut after the deadline",
            observed=f"cut {'after' if ended['at'] >= ends else 'before'} the deadline",
        )
        self.report.timing(timing, max(0.0, ended["last"] - ends))

    def _alive(self, flow: Flow, name: str) -> None:
        self.report.check(name, expected="alive", observed=_outcome(flow.alive))


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except LabError as error:
        return str(error)
    return "alive"
