"""From the values of a Tailscale policy file to what of it can be expressed here.

The format and its meaning are those of tailscale.com/docs/reference/syntax/policy-file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from policy.importers.findings import Findings
from policy.importers.hujson import HujsonError, Member, Node
from policy.importers.records import Access, Check, Listed, Source
from policy.importers.rules import Rules
from policy.importers.shapes import Fields, Shapes, says_nothing
from policy.importers.who import Name, Who, address_reason, is_user
from policy.limits import GROUPS_OF_USER_MAX
from policy.selectors import SelectorKind

_READ: Final = frozenset(
    {"acls", "defaultsrcposture", "grants", "groups", "hosts", "tagowners", "tests"}
)
_SECTIONS: Final[Mapping[str, str]] = {
    "autoapprovers": "there are no routes to approve in this version",
    "derpmap": "there are no relay servers here; members relay for each other",
    "disableipv4": "each device here has an IPv4 and an IPv6 address",
    "ipsets": "sets of addresses have no equivalent",
    "nodeattrs": "attributes of devices have no equivalent",
    "onecgnatroute": "each device here has a route of its own",
    "postures": "postures are not in this version",
    "randomizeclientport": "each device here has a port of its own anyway",
    "ssh": "logins are the host's own affair; only the way to its port 22 is granted here",
    "sshtests": "logins are the host's own affair",
}


def read(root: Node, file: str, findings: Findings) -> Source:
    """Read a policy file, and tell what can not be expressed here.

    Raises:
        HujsonError: It is no policy file at all, or says something twice.
    """
    shapes = Shapes(file, findings)
    if not isinstance(root.value, Mapping):
        raise HujsonError(file, root.line, root.column, "a policy file is one object, in braces")
    return _Reading(shapes.fields(root, "the file"), shapes, findings).source()


class _Reading:
    """Reads one file."""

    def __init__(self, fields: Fields, shapes: Shapes, findings: Findings) -> None:
        self._fields = fields
        self._shapes = shapes
        self._findings = findings
        self._groups = dict(self._declared("groups", "group:"))
        self._tags = dict(self._declared("tagowners", "tag:"))
        self._who = Who(self._groups, self._tags, self._hosts())
        self._names: dict[Name, int] = {}
        self._memberships: Counter[str] = Counter()

    def source(self) -> Source:
        """Read all sections."""
        groups = dict(self._read_group(*each) for each in self._groups.items())
        tags = dict(self._read_tag(*each) for each in self._tags.items())
        posture = self._fields.get("defaultsrcposture")
        narrowed = posture is not None and not says_nothing(posture.node)
        rules = Rules(self._shapes, self._findings, self._who, narrowed=narrowed)
        accesses = [*rules.acls(self._fields), *rules.grants(self._fields)]
        checks = list(rules.tests(self._fields))
        self._see_all(accesses, checks)
        self._other_sections(narrowed=narrowed)
        return Source(self._names, groups, tags, tuple(accesses), tuple(checks))

    def _declared(self, section: str, prefix: str) -> Iterator[tuple[str, Member]]:
        """Give what a section declares, by name without the prefix."""
        for member in self._members(section):
            if member.name.startswith(prefix):
                yield member.name.removeprefix(prefix), member
            else:
                why = f'names in {section} begin with "{prefix}"'
                self._findings.leave(member.line, f'"{member.name}"', why)

    def _hosts(self) -> Mapping[str, str]:
        """Give the hosts, and tell that none is imported."""
        hosts = {}
        for member in self._members("hosts"):
            what = f'host "{member.name}"'
            address = self._shapes.text(member.node, what)
            if address is not None:
                hosts[member.name] = address
                self._findings.leave(member.line, what, address_reason(address))
        return hosts

    def _read_group(self, name: str, member: Member) -> tuple[Name, Listed]:
        """Read the users of a group."""
        group = self._see(member.line, Name(SelectorKind.GROUP, name))
        users = []
        for line, text in self._shapes.texts(member.node, member.name):
            what = f'{member.name} member "{text}"'
            if not is_user(text):
                self._findings.leave(line, what, "groups here list users alone")
            elif self._memberships[text] == GROUPS_OF_USER_MAX:
                why = f"a user here is in at most {GROUPS_OF_USER_MAX} groups"
                self._findings.leave(line, what, why)
            else:
                self._memberships[text] += 1
                users.append(self._see(line, Name(SelectorKind.USER, text)))
        return group, Listed(member.line, tuple(users))

    def _read_tag(self, name: str, member: Member) -> tuple[Name, Listed]:
        """Read who owns a tag."""
        tag = self._see(member.line, Name(SelectorKind.TAG, name))
        owners = []
        for line, text in self._shapes.texts(member.node, member.name):
            what = f'{member.name} owner "{text}"'
            with self._findings.leaving(line, what):
                owners.append(self._see(line, self._who.owner(text)))
        return tag, Listed(member.line, tuple(owners))

    def _other_sections(self, *, narrowed: bool) -> None:
        """Tell of the sections that nothing here reads, and of the rules if there are none."""
        for name, member in self._fields.items():
            if name not in _READ and not says_nothing(member.node):
                why = _SECTIONS.get(name, "what this section does is not known here")
                self._findings.leave(member.line, member.name, why)
        if narrowed:
            member = self._fields["defaultsrcposture"]
            self._findings.leave(member.line, member.name, _SECTIONS["postures"])
        rules = [self._fields.get(name) for name in ("acls", "grants")]
        if all(each is None or each.node.value is None for each in rules):
            why = "there, everybody then reaches everything; here, nobody reaches anything"
            self._findings.leave(1, "no acls and no grants", why)

    def _members(self, section: str) -> Iterator[Member]:
        member = self._fields.get(section)
        if member is not None:
            yield from self._shapes.members(member.node, member.name)

    def _see(self, line: int, name: Name) -> Name:
        """Note that a name is used, and where first."""
        self._names.setdefault(name, line)
        return name

    def _see_all(self, accesses: list[Access], checks: list[Check]) -> None:
        for access in accesses:
            for name in access.sources:
                self._see(access.line, name)
        for check in checks:
            self._see(check.line, check.source)
