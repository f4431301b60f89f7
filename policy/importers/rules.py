"""The rules and tests of a Tailscale policy file.

What is not known to leave a rule as wide as it looks (a posture, a route, a field of a later
version) leaves the whole rule out; a source, destination or port without equivalent leaves out
itself.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from policy.importers import flows
from policy.importers.findings import Findings, NoEquivalentError
from policy.importers.hujson import Member, Number
from policy.importers.records import Access, Check
from policy.importers.shapes import Fields, Shapes, says_nothing
from policy.importers.who import Name, Who
from policy.ports import normalise

T = TypeVar("T")

_ACL: Final = frozenset({"action", "src", "users", "proto", "dst", "ports", "srcposture"})
_GRANT: Final = frozenset({"src", "dst", "ip", "app", "via", "srcposture"})
_TEST: Final = frozenset({"src", "user", "proto", "accept", "allow", "deny", "srcpostureattrs"})
_NARROWING: Final[Mapping[str, str]] = {
    "srcposture": "it asks for a posture, and postures are not in this version",
    "srcpostureattrs": "it speaks of postures, which are not in this version",
    "via": "it leads through routers, and there are no routes in this version",
}
_DEFAULT_POSTURE: Final = "defaultSrcPosture narrows it, and postures are not in this version"


class Rules:
    """Reads them.

    Args:
        shapes: Reads the values.
        findings: Where to tell what is left out.
        who: Finds whom selectors mean.
        narrowed: A default posture narrows every rule.
    """

    def __init__(self, shapes: Shapes, findings: Findings, who: Who, *, narrowed: bool) -> None:
        self._shapes = shapes
        self._findings = findings
        self._who = who
        self._narrowed = narrowed

    def acls(self, fields: Fields) -> Iterator[Access]:
        """Read `acls`."""
        return self._entries(fields, "acls", self._acl)

    def grants(self, fields: Fields) -> Iterator[Access]:
        """Read `grants`."""
        return self._entries(fields, "grants", self._grant)

    def tests(self, fields: Fields) -> Iterator[Check]:
        """Read `tests`."""
        for checks in self._entries(fields, "tests", self._test):
            yield from checks

    def _entries(self, fields: Fields, section: str, read: Callable[["_Entry"], T]) -> Iterator[T]:
        """Read the entries of a section, each called by its number: `acl 3`."""
        member = fields.get(section)
        nodes = [] if member is None else self._shapes.items(member.node, member.name)
        for number, node in enumerate(nodes, start=1):
            what = f"{section.removesuffix('s')} {number}"
            if not isinstance(node.value, Mapping):
                self._shapes.members(node, what)
                continue
            with self._findings.leaving(node.line, what):
                yield read(_Entry(what, node.line, self._shapes.fields(node, what)))

    def _acl(self, entry: "_Entry") -> Access:
        entry.check(_ACL)
        if self._narrowed:
            raise NoEquivalentError(_DEFAULT_POSTURE)
        action = entry.fields.get("action")
        if action is None or action.node.value != "accept":
            raise NoEquivalentError('its action is not "accept", the only one there is')
        proto = entry.protocol()
        destinations: dict[Name, flows.Ports] = {}
        for line, text, what in self._texts(entry, "dst", "ports"):
            with self._findings.leaving(line, what):
                host, _, ports = text.rpartition(":")
                let = flows.granted(proto, ports)
                name = self._who.destination(host)
                destinations[name] = normalise([*destinations.get(name, ()), *let])
        return self._access(entry, destinations)

    def _grant(self, entry: "_Entry") -> Access:
        entry.check(_GRANT)
        if self._narrowed:
            raise NoEquivalentError(_DEFAULT_POSTURE)
        app = entry.fields.get("app")
        if app is not None and not says_nothing(app.node):
            why = "capabilities of applications have no equivalent; only ip is imported"
            self._findings.leave(app.line, f"{entry.what} app", why)
        found: list[flows.Ports] = []
        for line, text, what in self._texts(entry, "ip"):
            with self._findings.leaving(line, what):
                found.append(flows.granted_by_capability(text))
        ports = normalise(each for let in found for each in let)
        if not ports:
            raise NoEquivalentError("no port is left, so nothing of it is imported")
        destinations = {}
        for line, text, what in self._texts(entry, "dst"):
            with self._findings.leaving(line, what):
                destinations[self._who.destination(text)] = ports
        return self._access(entry, destinations)

    def _access(self, entry: "_Entry", destinations: Mapping[Name, flows.Ports]) -> Access:
        """Make a rule of what is left of an entry."""
        sources = []
        for line, text, what in self._texts(entry, "src", "users"):
            with self._findings.leaving(line, what):
                sources.append(self._who.source(text))
        if not sources:
            raise NoEquivalentError("none of its sources is left, so nothing of it is imported")
        if not destinations:
            raise NoEquivalentError("no destination is left, so nothing of it is imported")
        return Access(entry.what.replace(" ", "-"), entry.line, tuple(sources), destinations)

    def _test(self, entry: "_Entry") -> Sequence[Check]:
        entry.check(_TEST)
        source = entry.one_of("src", "user")
        text = None if source is None else self._shapes.text(source.node, f"{entry.what} src")
        if text is None:
            raise NoEquivalentError("it has no source")
        asks = self._who.source(text)
        proto = entry.protocol()
        checks = []
        for names, allow in ((("accept", "allow"), True), (("deny",), False)):
            for line, destination, what in self._texts(entry, *names):
                with self._findings.leaving(line, what):
                    host, _, port = destination.rpartition(":")
                    to = self._who.destination(host)
                    checks.append(Check(line, what, asks, to, flows.tested(proto, port), allow))
        return checks

    def _texts(self, entry: "_Entry", *names: str) -> Iterator[tuple[int, str, str]]:
        """Give the texts of a field that may have either name, each with what to call it."""
        member = entry.one_of(*names)
        if member is not None:
            what = f"{entry.what} {member.name}"
            for line, text in self._shapes.texts(member.node, what):
                yield line, text, f'{what} "{text}"'


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a section: what to call it, where it begins, and its fields."""

    what: str
    line: int
    fields: Fields

    def check(self, known: Collection[str]) -> None:
        """Refuse an entry that a field narrows, or may narrow.

        Raises:
            NoEquivalentError: A field does.
        """
        for name, member in self.fields.items():
            if name not in known:
                raise NoEquivalentError(f'what its field "{member.name}" does is not known here')
            if name in _NARROWING and not says_nothing(member.node):
                raise NoEquivalentError(_NARROWING[name])

    def one_of(self, *names: str) -> Member | None:
        """Give the field that may have either name.

        Raises:
            NoEquivalentError: It is there under both.
        """
        found = [self.fields[name] for name in names if name in self.fields]
        if len(found) > 1:
            raise NoEquivalentError(f'it has both "{found[0].name}" and "{found[1].name}"')
        return found[0] if found else None

    def protocol(self) -> int | None:
        """Give the number of the protocol it is for; None stands for TCP and UDP.

        Raises:
            NoEquivalentError: Rules can not name it.
        """
        member = self.fields.get("proto")
        if member is None or says_nothing(member.node):
            return None
        value = member.node.value
        text = value.text if isinstance(value, Number) else value
        if not isinstance(text, str):
            raise NoEquivalentError("its proto is no text")
        return flows.protocol(text)
