"""A policy document, written as text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from policy.importers.findings import Finding
from policy.importers.flows import Ports, texts
from policy.importers.records import Access, Check, Source
from policy.importers.who import Name
from policy.limits import RULE_RANGES_MAX, RULE_SELECTORS_MAX
from policy.model import Selector, SelectorKind, Test
from policy.ports import describe, normalise, parse_ports
from policy.problems import printable

T = TypeVar("T")

_LINE_MAX: Final = 90
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEAD: Final = """\
# Made of {file} by `hedgerow policy import-tailscale`.
#
# Nothing in here allows what that file did not. What has no equivalent here is left out, and so
# denied, and is listed below: read the list before you sign.
#
# - Where Tailscale lets anything pass from one device to another, it lets ICMP pass too. So every
#   rule here allows icmp.
# - A device with a tag has no user there. Here it may have an owner as well, and then has what
#   either may reach: enrol devices with a tag without an owner.
"""


class Writer:
    """Writes what was understood of a policy file.

    Args:
        source: What was understood.
        names: What each user, group and tag is called.
        file: Name of the file.
        mesh: Name of the mesh.
    """

    def __init__(self, source: Source, names: Mapping[Name, str], file: str, mesh: str) -> None:
        self._source = source
        self._names = names
        self._file = printable(file)
        self._mesh = mesh

    def head(self, left: Sequence[Finding], notes: Sequence[Finding]) -> str:
        """Write the comments that come first."""
        titles = ((f"Not imported, by line of {self._file}", left), ("Imported, but", notes))
        listed = "".join(
            f"#\n# {title}:\n" + "".join(f"#   {each}\n" for each in findings)
            for title, findings in titles
            if findings
        )
        return f"{_HEAD.format(file=self._file)}{listed}\n"

    def document(self) -> str:
        """Write everything but the head and the tests."""
        parts = [
            f'schema = 1\nmesh = "{self._mesh}"\n',
            "".join(f"[users.{_key(user)}]\n" for user in self._of(SelectorKind.USER)),
            self._groups(),
            *self._tags(),
            *(rule for access in self._source.accesses for rule in self._rules(access)),
        ]
        return "\n".join(part for part in parts if part)

    def test(self, check: Check, flow: str) -> Test:
        """Make the test of one flow."""
        ports = normalise(parse_ports(flow))
        return Test(self._name(check.source), self._name(check.destination), ports, check.allow)

    def tests(self, tests: Iterable[tuple[int, Test]]) -> str:
        """Write tests, each with the line it is from."""
        return "".join(
            f"\n[[test]] # line {line}\n"
            f'from = {{ {test.source.kind.word} = "{test.source.name}" }}\n'
            f'to = "{test.destination}:{describe(test.ports)}"\n'
            f'expect = "{"allow" if test.allow else "deny"}"\n'
            for line, test in tests
        )

    def _groups(self) -> str:
        lines = [
            f"{_key(self._names[name])} = {_list(self._names[each] for each in group.names)}\n"
            for name, group in self._source.groups.items()
        ]
        return "[groups]\n" + "".join(lines) if lines else ""

    def _tags(self) -> Iterator[str]:
        for name, tag in self._source.tags.items():
            owners = _list(str(self._name(owner)) for owner in tag.names)
            yield f"[tags.{_key(self._names[name])}]\nowners = {owners}\n"

    def _rules(self, access: Access) -> Iterator[str]:
        """Write a rule for each set of ports, or several if it would be too long for one."""
        by_ports: dict[Ports, list[str]] = {}
        for name, ports in access.destinations.items():
            by_ports.setdefault(ports, []).append(str(self._name(name)))
        sources = [str(self._name(name)) for name in access.sources]
        pieces = [
            (some_sources, some_destinations, some_texts)
            for ports, destinations in by_ports.items()
            for some_sources in _pieces(sources, RULE_SELECTORS_MAX)
            for some_destinations in _pieces(destinations, RULE_SELECTORS_MAX)
            for some_texts in _pieces(texts(ports), RULE_RANGES_MAX - 1)  # icmp is two ranges
        ]
        for number, (whose, whither, which) in enumerate(pieces, start=1):
            rule_id = access.id if number == 1 else f"{access.id}-{number}"
            yield (
                f'[[rule]] # line {access.line}\nid = "{rule_id}"\n'
                f"from = {_list(whose)}\nto = {_list(whither)}\nallow = {_list(which)}\n"
            )

    def _name(self, name: Name) -> Selector:
        return Selector(name.kind, self._names[name])

    def _of(self, kind: SelectorKind) -> list[str]:
        return sorted(text for name, text in self._names.items() if name.kind is kind)


def _pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _key(name: str) -> str:
    """Write a name as a key."""
    return name if _BARE.fullmatch(name) else f'"{name}"'


def _list(items: Iterable[str]) -> str:
    """Write names, none of which has anything in it that TOML would escape."""
    quoted = [f'"{item}"' for item in items]
    line = f"[{', '.join(quoted)}]"
    if len(line) <= _LINE_MAX:
        return line
    return "[\n" + "".join(f"    {item},\n" for item in quoted) + "]"
