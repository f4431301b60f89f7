"""Short ways to say a policy, a directory and a device, and hypothesis strategies for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address, ip_network

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Directory, DirectoryDevice, User
from crypto.signing import public_key
from policy.compile import Compiled, compile_document
from policy.document import parse
from policy.facts import (
    DeviceFacts,
    Facts,
    FactValue,
    Login,
    Place,
    PostureReport,
    Via,
)
from policy.issuers import Claim, Issuer
from policy.model import Block, Defaults, OnExpiry, Policy, PortRange, Rule, Selector, Subject
from policy.places import PlaceSet
from policy.ports import normalise, parse_ports
from policy.posture import Posture, parse_check
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS, SelectorKind, parse_selector
from policy.sites import Site

# A busy machine is slow, not wrong: no example has a deadline of its own.
RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADER = 'schema = 1\nmesh = "acme"\n'

USERS = ("ann", "bob", "cy")
GROUPS = ("ops", "dev", "eng")
TAGS = ("prod", "lab")
DEVICES = ("db1", "gw1")
RESOURCES = {"db": "db1", "web": "gw1"}
AT_SITE = {"printer": "hq/10.0.0.9/32"}
SITES = {
    "hq": Site((ip_network("10.0.0.0/24"), ip_network("10.0.1.0/24")), ("gw1",)),
    "far": Site((ip_network("10.7.0.0/24"),), ("db1", "lap")),
}
PARTS = ("hq/10.0.0.8/29", "far/10.7.0.0/25")
OKTA = Issuer("https://acme.okta.com", "0oa1", mfa_amr=("hwk", "mfa"), mfa_acr=("strong",))
POSTURES = {"sound": Posture(50, (parse_check("disk.encrypted == true"),))}
PLACES = {"home": PlaceSet(("IN",), (ip_network("203.0.113.0/24"),))}
# The files that documents of tests name, and the time for which their windows are worked out.
JWKS = json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "n": "AQAB", "e": "AQAB"}]}).encode()
HORIZON = (1_795_392_000, 1_795_392_000 + 37 * 86_400)  # from 2026-11-23T00:00:00Z on
# Every border of time and every port of a random policy is one of these or next to one.
TIMES = (100, 200, 300, 400)
PORTS = ("tcp/22", "tcp/20-30", "tcp/25", "tcp/28-40", "tcp", "udp/53", "icmp", "any")


def key(name: str) -> bytes:
    """Return the device id that goes by this name."""
    return public_key(sha256(b"policy " + name.encode()).digest())


def device(
    name: str, *tags: str, owner: str | None = None, trusted: bool = True, until: int | None = None
) -> Subject:
    """Return a device."""
    return Subject(key(name), name, trusted, owner, frozenset(tags), until)


def selectors(texts: Iterable[str]) -> tuple[Selector, ...]:
    """Return selectors, sorted."""
    return tuple(sorted(parse_selector(text, frozenset(SelectorKind)) for text in set(texts)))


def ports(*texts: str) -> tuple[PortRange, ...]:
    """Return ranges, normalised."""
    return normalise(each for text in texts for each in parse_ports(text))


def rule(
    name: str, sources: str, destinations: str, allow: str, **times: int | bool | None
) -> Rule:
    """Return a rule; lists are texts with spaces."""
    return Rule(
        name,
        selectors(sources.split()),
        selectors(destinations.split()),
        ports(*allow.split()),
        **times,  # type: ignore[arg-type] # not_before, not_after, survives_expiry
    )


def files(name: str) -> bytes:
    """Return the file of keys that documents of tests name."""
    if name != "okta.jwks.json":
        raise ValueError("it is not there")
    return JWKS


def compiled(body: str) -> Compiled:
    """Compile a document without its first two lines."""
    return compile_document(parse(HEADER + body, "policy.toml", files=files), horizon=HORIZON)


def loaded(body: str) -> tuple[Policy, Directory]:
    """Compile a document, and read what came out as a node does."""
    parts = compiled(body)
    return Policy.decode(parts.policy), Directory.from_payload(parts.directory)


@dataclass(frozen=True)
class World:
    """A random policy, its directory, devices to ask about, and what is known of them."""

    policy: Policy
    directory: Directory
    devices: tuple[Subject, ...]
    facts: Facts = field(default_factory=Facts)


def some(items: Iterable[str], smallest: int = 0) -> st.SearchStrategy[frozenset[str]]:
    """Return a strategy for subsets."""
    return st.frozensets(st.sampled_from(sorted(items)), min_size=smallest)


def instants() -> st.SearchStrategy[int | None]:
    """Return a strategy for times that may be missing."""
    return st.none() | st.none() | st.sampled_from(TIMES)


def texts_of(kinds: Iterable[SelectorKind]) -> list[str]:
    """Return all selectors of some kinds that random policies use."""
    names = {
        SelectorKind.USER: USERS,
        SelectorKind.GROUP: GROUPS,
        SelectorKind.TAG: TAGS,
        SelectorKind.DEVICE: (*DEVICES, "lap"),
        SelectorKind.RESOURCE: (*RESOURCES, *AT_SITE),
        SelectorKind.SITE: tuple(SITES),
    }
    return [f"{kind.word}:{name}" for kind in sorted(kinds) for name in names[kind]]


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    """Return a strategy for a rule."""
    start, end = draw(instants()), draw(instants())
    if start is not None and end is not None and end <= start:
        end = None
    return Rule(
        name,
        selectors(draw(some(texts_of(SOURCE_KINDS), 4))),
        selectors(draw(some([*texts_of(DESTINATION_KINDS), *map("site:{}".format, PARTS)], 3))),
        ports(*draw(st.sets(st.sampled_from(PORTS), min_size=1, max_size=2))),
        start,
        end,
        survives_expiry=draw(st.booleans()),
        mfa_max_age=draw(st.none() | st.none() | st.just(100)),
        posture=draw(seldom("sound")),
        when=draw(seldom("office")),
        where=draw(seldom("home")),
        via=draw(st.none() | st.none() | st.sampled_from([Via.DIRECT, Via.RELAY])),
    )


def seldom(name: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy for a name that is mostly missing."""
    return st.sampled_from([(), (), (), (name,)])


def logins() -> st.SearchStrategy[Login]:
    """Return a strategy for logins, of known people and of a stranger."""
    times = st.sampled_from([50, *TIMES])
    return st.builds(
        Login,
        issuer=st.just("okta"),
        subject=st.sampled_from(["1", "1", "2", "9"]),
        iat=st.sampled_from([300, 400]),
        exp=st.sampled_from([150, 300, 350, 1_000]),
        original_iat=times,
        groups=st.sampled_from([None, frozenset(), frozenset({"eng"})]),
        auth_time=st.none() | times,
        amr=st.sampled_from([frozenset(), frozenset({"hwk", "pwd"})]),
        acr=st.sampled_from([None, "weak", "strong"]),
    )


def reports() -> st.SearchStrategy[PostureReport]:
    """Return a strategy for posture reports, good ones and others."""
    values = st.sampled_from([True, True, False, 1])
    said: st.SearchStrategy[dict[str, FactValue]] = st.fixed_dictionaries(
        {}, optional={"disk.encrypted": values}
    )
    return st.builds(PostureReport, said, st.sampled_from([50, *TIMES]))


def device_facts() -> st.SearchStrategy[DeviceFacts]:
    """Return a strategy for what is known of a device."""
    addresses = st.sampled_from([ip_address("203.0.113.7"), ip_address("2001:db8::7")])
    return st.builds(
        DeviceFacts,
        st.none() | logins(),
        st.none() | reports(),
        st.none() | st.builds(Place, addresses, st.sampled_from([None, "IN", "DE"])),
        st.sampled_from(Via),
    )


@st.composite
def blocks(draw: st.DrawFn, name: str) -> Block:
    """Return a strategy for a block."""
    return Block(name, selectors(draw(some(texts_of(SOURCE_KINDS), 1))))


def users() -> st.SearchStrategy[User]:
    """Return a strategy for users, most of whom need no login."""
    return st.builds(User, st.none(), instants())


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Return a strategy for directories, in which a device may or may not have its key."""
    return Directory(
        users={name: draw(users()) for name in USERS[:-1]}
        | {USERS[-1]: User(draw(st.sampled_from([None, "okta:1"])), draw(instants()))},
        groups={name: tuple(sorted(draw(some(USERS)))) for name in GROUPS},
        tags=dict.fromkeys(TAGS, ()),
        devices={
            name: DirectoryDevice(draw(st.sampled_from([None, key(name), key("other" + name)])))
            for name in DEVICES
        },
    )


@st.composite
def subjects(draw: st.DrawFn, name: str) -> Subject:
    """Return a strategy for a device."""
    return device(
        name,
        *draw(some(TAGS)),
        owner=draw(st.none() | st.sampled_from(USERS)),
        trusted=draw(st.booleans()),
        until=draw(instants()),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return a strategy for worlds."""
    count = draw(st.integers(1, 4))
    policy = Policy(
        "acme",
        rules=tuple(draw(rules(f"r{number}")) for number in range(count)),
        blocks=tuple(
            draw(blocks(f"x{number}")) for number in range(draw(st.sampled_from([0, 0, 0, 1])))
        ),
        resources=RESOURCES | AT_SITE,
        defaults=Defaults(session_max=180, lease=50, on_expiry=draw(st.sampled_from(OnExpiry))),
        issuers={"okta": OKTA},
        claims={"eng": (Claim("okta", "eng"),)},
        sites=SITES,
        postures=POSTURES,
        windows={"office": ((100, 200), (300, 400))},
        calendar=((60, 380), (390, 800)),
        places=PLACES,
    )
    devices = tuple(draw(subjects(name)) for name in (*DEVICES, "lap"))
    known = {each.device_id: draw(device_facts()) for each in devices}
    revoked = frozenset(draw(st.sampled_from([(), (), (), ("ann",)])))
    return World(policy, draw(directories()), devices, Facts(known, revoked))


def moments() -> st.SearchStrategy[Interval]:
    """Return a strategy for the time, exact or not, often on a border."""
    around = [instant + step for instant in (50, *TIMES) for step in (-1, 0, 1)]
    return st.builds(Interval.around, st.sampled_from(around), st.sampled_from([0, 0, 1, 5, 150]))


def flows() -> st.SearchStrategy[tuple[int | None, int | None]]:
    """Return a strategy for flows, often on the border of a range."""
    tcp = [1, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 31, 40, 41, 65_535]
    listed = [(6, port) for port in tcp] * 2
    listed += [(17, 53), (17, 54), (132, 22)]
    portless: list[tuple[int | None, int | None]] = [
        (1, None),
        (58, None),
        (47, None),
        (None, None),
    ]
    return st.sampled_from([*listed, *portless])
