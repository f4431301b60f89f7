"""The policy at size: compiling, one node's share, one event, and decisions beside Cedar.

A mesh of 10,000 devices and 10,000 rules with users, groups, tags, logins, postures and windows
is compiled; a gateway of it then reads the parts, finds its own grants, and hears of one changed
device. Times are those of the processor: the work is one thread's, and what else runs must not
count. Decisions are counted against cedarpy on the same rules, in the same process.

    .venv/bin/python -m bench.policy
    .venv/bin/python -m bench.policy --devices 1000 --rules 1000 --json
"""

import argparse
import gc
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from crypto.clock import Interval
from crypto.objects import Directory
from crypto.signing import public_key
from policy.compile import Compiled, compile_document
from policy.decide import Evaluator, Flow, Moment
from policy.document import parse
from policy.facts import DeviceFacts, Facts, Login, PostureReport
from policy.grants import NodeRules
from policy.model import Policy, SelectorKind, Subject

NOW = 1_795_500_000
HORIZON = (NOW - 86_400, NOW + 37 * 86_400)
JWKS = json.dumps({"keys": [{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}]}).encode()
# What the design asks for.
COMPILE_SECONDS = 10.0
COMPILE_GIB = 1.0
GRANTS_SECONDS = 1.0
EVENT_SECONDS = 0.020
CEDAR_RATIO = 20.0


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        what: its name.
        measured: what was found.
        needed: what it must reach; None where the design asks for nothing.
        unit: of both.
        larger: more is better.
    """

    what: str
    measured: float
    needed: float | None
    unit: str
    larger: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than needed."""
        if self.needed is None or not self.measured:
            return None
        quotient = self.measured / self.needed
        return quotient if self.larger else 1 / quotient

    @property
    def reached(self) -> bool:
        """Whether it is as good as needed."""
        return self.ratio is None or self.ratio >= 1


class Mesh:
    """A document of a size, and the devices that are enrolled in it."""

    def __init__(self, devices: int, rules: int, seed: int = 1) -> None:
        draw = random.Random(seed)
        self.users = [f"u{number}" for number in range(max(1, devices // 2))]
        self.tags = [f"t{number}" for number in range(max(1, devices // 20))]
        self.groups = {
            f"g{number}": draw.sample(self.users, min(len(self.users), 10))
            for number in range(max(1, devices // 20))
        }
        self.subjects = [
            Subject(
                sha256(b"device %d" % number).digest(),
                f"d{number}",
                name_trusted=True,
                owner=draw.choice(self.users),
                tags=frozenset(draw.sample(self.tags, min(len(self.tags), 2))),
            )
            for number in range(devices)
        ]
        self.text = "\n".join([*self._head(), *self._rules(draw, rules)])

    def _head(self) -> list[str]:
        """Write all sections but the rules."""
        lines = [
            'schema = 1\nmesh = "bench"',
            '[issuers.okta]\niss = "https://op.example"\nclient_id = "c"\njwks = "k"',
            '[postures.healthy]\nmax_age = "30m"\nall = ["disk.encrypted == true"]',
            '[windows.office]\ntz = "Europe/Berlin"\ndays = ["mon-sun"]',
            'from = "00:00"\nto = "24:00"',
        ]
        lines += [f'[users.{name}]\nid = "okta:{name}"' for name in self.users]
        lines.append("[groups]")
        lines += [f"{name} = {json.dumps(members)}" for name, members in self.groups.items()]
        lines.append("[tags]")
        lines += [f"{name} = {{}}" for name in self.tags]
        for number, subject in enumerate(self.subjects):
            key = public_key(sha256(b"key %d" % number).digest()).hex() if number < 100 else None
            lines.append(f"[devices.{subject.name}]")
            lines += [f'key = "ed25519:{key}"'] if key else []
            lines.append(f'owner = "{subject.owner}"')
            lines.append(f"tags = {json.dumps(sorted(subject.tags))}")
        return lines

    def _rules(self, draw: random.Random, rules: int) -> list[str]:
        """Write the rules: two in five have conditions."""
        lines = []
        for number in range(rules):
            source = draw.choice(
                [f"group:{draw.choice(list(self.groups))}", f"tag:{draw.choice(self.tags)}"]
            )
            target = draw.choice(
                [f"tag:{draw.choice(self.tags)}", f"device:d{draw.randrange(len(self.subjects))}"]
            )
            port = draw.randrange(1, 60_000)
            lines += [
                "[[rule]]",
                f'id = "r{number}"',
                f'from = ["{source}"]',
                f'to = ["{target}"]',
                f'allow = ["tcp/{port}-{port + draw.randrange(10)}", "tcp/22"]',
            ]
            lines += draw.choice(
                [
                    [],
                    [],
                    [],
                    ['mfa = { max_age = "1h" }', 'when = ["office"]'],
                    ['posture = ["healthy"]'],
                ]
            )
        return lines

    def compiled(self) -> Compiled:
        """Compile the document."""
        return compile_document(
            parse(self.text, "bench.toml", files=lambda _: JWKS), horizon=HORIZON
        )

    def facts(self) -> Facts:
        """Know everything of every device."""
        report = PostureReport({"disk.encrypted": True}, NOW - 60)
        return Facts(
            {each.device_id: DeviceFacts(login_of(each), report) for each in self.subjects}
        )


def login_of(subject: Subject) -> Login:
    """Give a login of a device's owner."""
    return Login(
        "okta",
        subject.owner or "",
        iat=NOW - 600,
        exp=NOW + 3_000,
        original_iat=NOW - 600,
        auth_time=NOW - 600,
        amr=frozenset({"mfa"}),
    )


def timed(call: Callable[[], object], repeat: int = 1) -> float:
    """Give the median of the seconds that a call takes."""
    taken = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def resident_gib() -> float:
    """Give the most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def compiling(mesh: Mesh) -> tuple[Compiled, list[Row]]:
    """Measure the compiler."""
    start = time.process_time()
    compiled = mesh.compiled()
    seconds = time.process_time() - start
    return compiled, [
        Row("compile", seconds, COMPILE_SECONDS, "s"),
        Row("compile, peak resident", resident_gib(), COMPILE_GIB, "GiB"),
        Row("parts", sum(map(len, compiled.parts.values())) / 2**20, None, "MiB"),
    ]


def sharing(mesh: Mesh, compiled: Compiled) -> list[Row]:
    """Measure one node: its grants from the parts, and after one device's change."""
    moment = Moment(Interval.exact(NOW), mesh.facts())
    me, *peers = mesh.subjects
    # What made the mesh is no node's, so the collector must not walk it while one is measured.
    gc.collect()
    gc.freeze()
    start = time.process_time()
    policy = Policy.decode(compiled.policy)
    directory = Directory.from_payload(compiled.directory)
    read = time.process_time()
    node = NodeRules(policy, directory, me)
    grants = node.grants(peers, moment)
    done = time.process_time()
    assert grants.inbound
    assert grants.outbound
    related = max(peers, key=lambda each: len(grants.inbound.get(each.device_id, ())))
    changed = replace(related, tags=related.tags | peers[1].tags)
    one = timed(lambda: node.grants([changed], moment), 21)
    pairs = len(grants.inbound) + len(grants.outbound)
    return [
        Row("parts to grants of one node", done - start, GRANTS_SECONDS, "s"),
        Row("  of it reading the parts", read - start, None, "s"),
        Row("  of it picking and judging", done - read, None, "s"),
        Row("  peers with grants, each way", pairs, None, ""),
        Row("one device's change to grants", one * 1e3, EVENT_SECONDS * 1e3, "ms"),
    ]


def deciding(rules: int) -> list[Row]:
    """Count decisions beside Cedar's, on the same rules."""
    import cedarpy

    mesh = Mesh(100, rules)
    compiled = mesh.compiled()
    policy = Policy.decode(compiled.policy)
    policy = replace(
        policy,
        rules=tuple(replace(rule, mfa_max_age=None, when=(), posture=()) for rule in policy.rules),
    )
    directory = Directory.from_payload(compiled.directory)
    evaluator = Evaluator(policy, directory)
    moment = Moment(Interval.exact(NOW), mesh.facts())
    draw = random.Random(2)
    asked: list[tuple[Subject, Subject, Flow]] = []
    for _ in range(500):
        source, destination = draw.sample(mesh.subjects, 2)
        asked.append((source, destination, (6, draw.choice([22, 22, 80]))))

    def ours() -> list[bool]:
        return [
            evaluator.decide(
                evaluator.party(source, moment), evaluator.party(destination, moment), flow, moment
            ).allow
            for source, destination, flow in asked
        ]

    policies, entities = cedar_policies(policy), cedar_entities(mesh)
    requests: list[dict[str, Any]] = [
        {
            "principal": f'Device::"{source.name}"',
            "action": 'Action::"open"',
            "resource": f'Device::"{destination.name}"',
            "context": {"port": flow[1]},
        }
        for source, destination, flow in asked
    ]

    def theirs() -> list[bool]:
        found = cedarpy.is_authorized_batch(requests, policies, entities)
        return [each.decision is cedarpy.Decision.Allow for each in found]

    assert ours() == theirs()
    our_rate, their_rate = len(asked) / timed(ours, 5), len(asked) / timed(theirs, 3)
    single = timed(lambda: cedarpy.is_authorized(requests[0], policies, entities), 5)
    return [
        Row(f"decisions, {rules} rules", our_rate, None, "1/s", larger=True),
        Row("  cedarpy, a batch of 500", their_rate, None, "1/s", larger=True),
        Row("  cedarpy, one by one", 1 / single, None, "1/s", larger=True),
        Row("  times cedarpy's batch", our_rate / their_rate, None, "x", larger=True),
        Row("  times cedarpy one by one", our_rate * single, CEDAR_RATIO, "x", larger=True),
    ]


def cedar_policies(policy: Policy) -> str:
    """Write the rules for Cedar: who, what and which ports."""
    texts = []
    for rule in policy.rules:
        (source,), (target,) = rule.sources, rule.destinations
        kind = "groups" if source.kind is SelectorKind.GROUP else "tags"
        place = (
            f'resource == Device::"{target.name}"'
            if target.kind is SelectorKind.DEVICE
            else f'resource.tags.contains("{target.name}")'
        )
        ports = " || ".join(
            f"(context.port >= {each.lo} && context.port <= {each.hi})" for each in rule.ports
        )
        texts.append(
            f"permit(principal, action, resource) when {{ principal.{kind}.contains("
            f'"{source.name}") && {place} && ({ports}) }};'
        )
    return "\n".join(texts)


def cedar_entities(mesh: Mesh) -> list[dict[str, Any]]:
    """Write the devices for Cedar."""
    return [
        {
            "uid": {"type": "Device", "id": each.name},
            "attrs": {
                "tags": sorted(each.tags),
                "groups": [name for name, all_ in mesh.groups.items() if each.owner in all_],
            },
            "parents": [],
        }
        for each in mesh.subjects
    ]


def table(rows: Sequence[Row]) -> str:
    """Write the figures for a person."""
    lines = [f"{'':34} {'measured':>12} {'needed':>10} {'ratio':>8}"]
    for row in rows:
        needed = "" if row.needed is None else f"{row.needed:g} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
        mark = "" if row.reached else "  MISSED"
        measured = f"{row.measured:,.0f}" if row.measured >= 1_000 else f"{row.measured:.3g}"
        lines.append(
            f"{row.what:34} {measured + ' ' + row.unit:>12} {needed:>10} {ratio:>8}{mark}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether all of it is as good as needed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    mesh = Mesh(chosen.devices, chosen.rules)
    compiled, rows = compiling(mesh)
    rows += sharing(mesh, compiled)
    for rules in (100, 1_000):
        rows += deciding(rules)
    if chosen.json:
        found = [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows]
        print(json.dumps({"benchmark": "policy", "rows": found}, indent=2))
    else:
        print(table(rows))
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
