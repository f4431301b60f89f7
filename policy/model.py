"""The compiled policy: what a node holds and what the head's hash covers.

There is one encoding of one meaning: everything is sorted and joined before it is written, and
`Policy.decode` refuses bytes that are not what `Policy.encode` writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from crypto import codec
from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import PART_BYTES_MAX
from policy import wire
from policy.ports import ANY, PortRange
from policy.records import (
    Audit,
    Block,
    Defaults,
    Facts,
    OnExpiry,
    Reason,
    Rule,
    Subject,
    Test,
    time_text,
)
from policy.selectors import Selector, SelectorKind, is_name

__all__ = [
    "ANY",
    "Audit",
    "Block",
    "Defaults",
    "Facts",
    "OnExpiry",
    "Policy",
    "PortRange",
    "Reason",
    "Rule",
    "Selector",
    "SelectorKind",
    "Subject",
    "Test",
    "time_text",
]

T = TypeVar("T")

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules, blocks, tests and defaults of one mesh.

    Attributes:
        mesh: Name of the mesh it is written for.
        rules: Sorted by id.
        blocks: Sorted by id.
        resources: Which device hosts a resource.
        services: Names for ports, for display; rules hold the ports themselves.
        tests: What it must decide, in the order of their encoding.
        defaults: What holds unless something says otherwise.
    """

    mesh: str
    rules: tuple[Rule, ...] = ()
    blocks: tuple[Block, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, tuple[PortRange, ...]] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)

    def __post_init__(self) -> None:
        """Refuse names that can not be names, ids in disorder, and doubles.

        Raises:
            ValueError: The policy has no one meaning.
        """
        for ids in ([rule.id for rule in self.rules], [block.id for block in self.blocks]):
            if ids != sorted(set(ids)):
                raise ValueError("policy: its ids must be sorted and different")
        if len(set(self.tests)) != len(self.tests):
            raise ValueError("policy: its tests must be different")
        for name in (*self.resources, *self.services):
            _check_name(name)
        for name in (self.mesh, *self.resources.values()):
            _check_name(name, SelectorKind.DEVICE)

    def encode(self) -> bytes:
        """Give the bytes that the head's hash covers."""
        names = wire.NameTable(self._names())
        value: dict[int, Value] = {
            0: _FORMAT,
            1: self.mesh,
            2: wire.defaults_value(self.defaults),
            3: list(names.names),
            4: _pairs(self.services, names, wire.ports_value),
            5: _pairs(self.resources, names, names.number),
            6: [wire.rule_value(rule, names) for rule in self.rules],
            7: [wire.block_value(block, names) for block in self.blocks],
            8: sorted((wire.check_value(test, names) for test in self.tests), key=codec.dumps),
        }
        return codec.dumps(value)

    @classmethod
    def decode(cls, data: bytes) -> "Policy":
        """Read a policy part; its hash must have been checked before.

        Raises:
            CodecError: The bytes are no CBOR of our profile, or too many.
            ObjectError: They are not the encoding of a policy this version knows.
        """
        fields = wire.read_map(
            codec.loads(data, max_bytes=PART_BYTES_MAX), "policy", frozenset(range(9))
        )
        if fields.get(0) != _FORMAT:
            raise ObjectError(
                "policy: it is of a format this version does not know",
                remedy="install a newer hedgerow on this device",
            )
        try:
            policy = _build(fields)
        except ValueError as error:
            raise ObjectError(str(error)) from None
        if policy.encode() != data:
            raise ObjectError("policy: its bytes are not in the one order the compiler writes")
        return policy

    def _names(self) -> Iterator[str]:
        """Give every name that stands somewhere."""
        yield from self.services
        for resource, device in self.resources.items():
            yield from (resource, device)
        for rule in self.rules:
            yield rule.id
            yield from (each.name for each in (*rule.sources, *rule.destinations))
        for block in self.blocks:
            yield block.id
            yield from (each.name for each in block.who)
        for test in self.tests:
            yield from (test.source.name, test.destination.name)
            yield from () if test.rule is None else (test.rule,)


def _check_name(name: str, kind: SelectorKind | None = None) -> None:
    """Refuse what can not be a name."""
    if not is_name(name, kind):
        raise ValueError(f"policy: {name!r} can not be a name")


def _pairs(items: Mapping[str, T], names: wire.NameTable, write: Callable[[T], Value]) -> Value:
    """Write a mapping by name as sorted pairs."""
    return [[names.number(name), write(items[name])] for name in sorted(items)]


def _build(fields: wire.Fields) -> Policy:
    """Make the policy of decoded fields."""
    names = wire.NameTable(
        wire.read_text(each, "name") for each in wire.read_list(fields.get(3), "names")
    )
    services = _read_pairs(fields.get(4), "services")
    resources = _read_pairs(fields.get(5), "resources")
    return Policy(
        mesh=wire.read_text(fields.get(1), "mesh"),
        defaults=wire.read_defaults(fields.get(2)),
        services={names.name(name): wire.read_ports(ports) for name, ports in services},
        resources={names.name(name): names.name(device) for name, device in resources},
        rules=tuple(
            wire.read_rule(each, names) for each in wire.read_list(fields.get(6), "rules")
        ),
        blocks=tuple(
            wire.read_block(each, names) for each in wire.read_list(fields.get(7), "blocks")
        ),
        tests=tuple(
            wire.read_check(each, names) for each in wire.read_list(fields.get(8), "tests")
        ),
    )


def _read_pairs(value: Value, what: str) -> list[tuple[Value, Value]]:
    """Read an array of pairs."""
    return [wire.read_pair(each, what) for each in wire.read_list(value, what)]
