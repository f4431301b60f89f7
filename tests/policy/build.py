"""Short ways to say a policy, a directory and a device, and hypothesis strategies for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Directory, DirectoryDevice, User
from crypto.signing import public_key
from policy.compile import Compiled, compile_document
from policy.document import parse
from policy.model import Block, Defaults, OnExpiry, Policy, PortRange, Rule, Selector, Subject
from policy.ports import normalise, parse_ports
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS, SelectorKind, parse_selector

# A busy machine is slow, not wrong: no example has a deadline of its own.
RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADER = 'schema = 1\nmesh = "acme"\n'

USERS = ("ann", "bob", "cy")
GROUPS = ("ops", "dev")
TAGS = ("prod", "lab")
DEVICES = ("db1", "gw1")
RESOURCES = {"db": "db1", "web": "gw1"}
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


def compiled(body: str) -> Compiled:
    """Compile a document without its first two lines."""
    return compile_document(parse(HEADER + body, "policy.toml"))


def loaded(body: str) -> tuple[Policy, Directory]:
    """Compile a document, and read what came out as a node does."""
    parts = compiled(body)
    return Policy.decode(parts.policy), Directory.from_payload(parts.directory)


@dataclass(frozen=True)
class World:
    """A random policy, its directory, and devices to ask about."""

    policy: Policy
    directory: Directory
    devices: tuple[Subject, ...]


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
        SelectorKind.RESOURCE: tuple(RESOURCES),
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
        selectors(draw(some(texts_of(DESTINATION_KINDS), 3))),
        ports(*draw(st.sets(st.sampled_from(PORTS), min_size=1, max_size=2))),
        start,
        end,
        survives_expiry=draw(st.booleans()),
    )


@st.composite
def blocks(draw: st.DrawFn, name: str) -> Block:
    """Return a strategy for a block."""
    return Block(name, selectors(draw(some(texts_of(SOURCE_KINDS), 1))))


def users() -> st.SearchStrategy[User]:
    """Return a strategy for users, most of whom need no login."""
    return st.builds(User, st.sampled_from([None, None, "okta:1"]), instants())


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Return a strategy for directories, in which a device may or may not have its key."""
    return Directory(
        users={name: draw(users()) for name in USERS},
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
        resources=RESOURCES,
        defaults=Defaults(lease=50, on_expiry=draw(st.sampled_from(OnExpiry))),
    )
    devices = tuple(draw(subjects(name)) for name in (*DEVICES, "lap"))
    return World(policy, draw(directories()), devices)


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
