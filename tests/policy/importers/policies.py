"""Random Tailscale policy files: some that can be imported whole, some that can not."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

USERS = ("ann@x.org", "Ann@x.org", "bob@github", "o'cy@passkey")
GROUPS = ("group:ops", "group:Dev")
TAGS = ("tag:web", "tag:Web", "tag:db")
HOSTS = {"box": "100.64.0.9", "lan": "10.0.0.0/8"}

PORTS = ("*", "22", "80,443", "20-30", "22-80,443", "65535")
BAD_PORTS = ("0", "0-80", "80-22", "99999", "ssh", "")
PORTED = ("", "tcp", "UDP", "6", "17", "sctp", "132")
PORTLESS = ("icmp", "1", "58")
STRANGE = ("gre", "47", "igmp")
SOURCES = (*USERS, *GROUPS, *TAGS)
STRANGERS = (
    "*",
    "autogroup:member",
    "autogroup:tagged",
    "user:*@x.org",
    "box",
    "lan",
    "100.64.0.9",
    "group:unknown",
    "tag:unknown",
)


NARROWING: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"srcPosture": []},
        {"srcPosture": ["posture:x"]},
        {"via": ["tag:web"]},
        {"someday": True},
    ]
)


def some(*items: str) -> st.SearchStrategy[list[str]]:
    """Return a strategy for one to three different items."""
    return st.lists(st.sampled_from(items), min_size=1, max_size=3, unique=True)


def targets(hosts: tuple[str, ...], ports: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Return a strategy for the `dst` of an entry of `acls`."""
    pairs = st.builds("{}:{}".format, st.sampled_from(hosts), st.sampled_from(ports))
    return st.lists(pairs, min_size=1, max_size=3, unique=True)


@st.composite
def acls(draw: st.DrawFn) -> dict[str, Any]:
    """Return a strategy for entries of `acls` that can be imported."""
    proto = draw(st.sampled_from([*PORTED, *PORTLESS]))
    ports = ("*",) if proto in PORTLESS else PORTS
    sources, destinations = draw(
        st.sampled_from([("src", "dst"), ("users", "ports"), ("src", "ports")])
    )
    acl = {
        "action": "accept",
        sources: draw(some(*SOURCES)),
        destinations: draw(targets(TAGS, ports)),
    }
    return acl | ({"proto": proto} if proto or draw(st.booleans()) else {})


@st.composite
def grants(draw: st.DrawFn) -> dict[str, Any]:
    """Return a strategy for entries of `grants` that can be imported."""
    ported = [f"{proto}:{ports}" if proto else ports for proto in PORTED for ports in PORTS]
    return {
        "src": draw(some(*SOURCES)),
        "dst": draw(some(*TAGS)),
        "ip": draw(some(*ported, *(f"{proto}:*" for proto in PORTLESS))),
    }


@st.composite
def strange_acls(draw: st.DrawFn) -> dict[str, Any]:
    """Return a strategy for entries of `acls` in which something has no equivalent."""
    acl = draw(acls())
    sources, destinations = (
        ("users" if "users" in acl else "src"),
        ("ports" if "ports" in acl else "dst"),
    )
    hosts = (*SOURCES, *STRANGERS, "autogroup:self", "autogroup:internet")
    oddities: list[st.SearchStrategy[dict[str, Any]]] = [
        NARROWING,
        st.just({"action": "drop"}),
        st.builds(lambda odd: {sources: [*acl[sources], odd]}, st.sampled_from(STRANGERS)),
        st.builds(
            lambda odd: {destinations: [*acl[destinations], *odd]},
            targets(hosts, (*PORTS, *BAD_PORTS)),
        ),
        st.sampled_from([{"proto": proto} for proto in STRANGE]),
    ]
    return acl | draw(st.one_of(oddities))


@st.composite
def strange_grants(draw: st.DrawFn) -> dict[str, Any]:
    """Return a strategy for entries of `grants` in which something has no equivalent."""
    grant = draw(grants())
    hosts = (*SOURCES, *STRANGERS, "autogroup:self", "autogroup:internet")
    capabilities = (*BAD_PORTS, *(f"{proto}:*" for proto in STRANGE), "tcp:ssh", "sctp:0")
    oddities: list[st.SearchStrategy[dict[str, Any]]] = [
        NARROWING,
        st.just({"app": {"example.com/cap/x": [{}]}}),
        st.builds(lambda odd: {"src": [*grant["src"], odd]}, st.sampled_from(STRANGERS)),
        st.builds(lambda odd: {"dst": [*grant["dst"], odd]}, st.sampled_from(hosts)),
        st.builds(lambda odd: {"ip": [*grant["ip"], odd]}, st.sampled_from(capabilities)),
    ]
    return grant | draw(st.one_of(oddities))


@st.composite
def tests(draw: st.DrawFn) -> dict[str, Any]:
    """Return a strategy for tests that can be imported."""
    proto = draw(st.sampled_from(["", "tcp", "udp", "icmp"]))
    asked = targets(TAGS, ("0",) if proto == "icmp" else ("22", "80", "443", "1"))
    test: dict[str, Any] = {"src": draw(st.sampled_from([*USERS, *TAGS]))}
    test |= {key: draw(asked) for key in draw(some("accept", "deny"))}
    return test | ({"proto": proto} if proto else {})


@st.composite
def policies(draw: st.DrawFn, *, strange: bool = False) -> dict[str, Any]:
    """Return a strategy for policy files; a strange one has anything in it."""
    owners = st.lists(st.sampled_from([*USERS, *GROUPS]), max_size=2, unique=True)
    policy: dict[str, Any] = {
        "groups": {name: draw(st.lists(st.sampled_from(USERS), unique=True)) for name in GROUPS},
        "tagOwners": {name: draw(owners) for name in TAGS},
        "acls": draw(st.lists(strange_acls() if strange else acls(), max_size=3)),
        "grants": draw(st.lists(strange_grants() if strange else grants(), max_size=3)),
        "tests": draw(st.lists(tests(), max_size=2)),
    }
    if strange:
        policy["hosts"] = HOSTS
        policy["defaultSrcPosture"] = draw(st.sampled_from([[], [], [], [], ["posture:x"]]))
        for section in draw(st.sampled_from([[], [], [], ["acls"], ["acls", "grants"]])):
            del policy[section]
    return policy


def as_hujson(policy: dict[str, Any]) -> str:
    """Write a policy file with a comment on each line and a comma after each last item."""
    text = json.dumps(policy, indent=1, ensure_ascii=False)
    return re.sub(r"\n( *[]}])", r",\n\1", text).replace("\n", " // {\n /* [ */")
