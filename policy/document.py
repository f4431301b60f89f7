"""The document: policy as people write it, in TOML, checked as a whole.

`parse` gives a document in which every name refers to something, or all the problems it has. The
language is described in docs/policy.md.
"""

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crypto.objects import DirectoryDevice, User
from policy import sections, statements
from policy.limits import DOCUMENT_CHARACTERS_MAX, GROUPS_OF_USER_MAX
from policy.locate import Locator, Path, locate
from policy.ports import PortRange
from policy.problems import DocumentError, Problem, Report, printable
from policy.records import Block, Defaults, Rule, Test
from policy.scope import Scope
from policy.selectors import SelectorKind, is_name, name_form
from policy.tables import Table

__all__ = ["Document", "DocumentError", "Problem", "parse"]

SCHEMA: Final = 1
_LATER_SECTIONS: Final = ("issuers", "sites", "postures", "windows", "places")
_TOML_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """A document without problems.

    Attributes:
        file: Its name, for messages.
        mesh: The mesh it is for.
        defaults: What holds unless something says otherwise.
        users: By name.
        groups: The users of each group, those of groups in it included.
        tags: Who may give each tag away.
        devices: By name.
        services: The ports of each service.
        resources: The device that hosts each resource.
        rules: Sorted by id; services stand as their ports.
        blocks: Sorted by id.
        tests: Each with its line.
        lines: The line of each rule and block, by id.
        undeclared_devices: Devices named but not declared, with the line that names them first.
        source_sha256: Of the text.
    """

    file: str
    mesh: str
    defaults: Defaults
    users: Mapping[str, User]
    groups: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, tuple[str, ...]]
    devices: Mapping[str, DirectoryDevice]
    services: Mapping[str, tuple[PortRange, ...]]
    resources: Mapping[str, str]
    rules: tuple[Rule, ...]
    blocks: tuple[Block, ...]
    tests: tuple[tuple[Test, int], ...]
    lines: Mapping[str, int]
    undeclared_devices: Mapping[str, int]
    source_sha256: bytes


def parse(text: str, filename: str) -> Document:
    """Read a document.

    Args:
        text: The TOML.
        filename: What problems call it.

    Raises:
        DocumentError: It has problems; the error holds all of them.
    """
    data, locator = _load(text, filename)
    report = Report(filename, locator)
    document = _read(Table(report, (), data, "the document"), data, text)
    report.check()
    return document


def _load(text: str, filename: str) -> tuple[Mapping[str, object], Locator]:
    """Read TOML, and find the lines."""
    if len(text) > DOCUMENT_CHARACTERS_MAX:
        message = f"the document has {len(text)} characters; the most is {DOCUMENT_CHARACTERS_MAX}"
        raise DocumentError([Problem(filename, 1, message)])
    try:
        return tomllib.loads(text), locate(text)
    except RecursionError:
        message = "the document nests lists or tables too deeply; write it flatter"
        raise DocumentError([Problem(filename, 1, message)]) from None
    except ValueError as error:  # a TOMLDecodeError, or a number too long for Python
        raise DocumentError([_syntax_problem(text, filename, str(error))]) from None


def _syntax_problem(text: str, filename: str, message: str) -> Problem:
    """Turn what tomllib says into a problem with its line."""
    match = _TOML_LINE.search(message)
    last = text.count("\n") + 1
    line = last if match is None or match[1] is None else int(match[1])
    return Problem(filename, line, printable(f"not TOML: {_TOML_LINE.sub('', message)}"))


def _read(root: Table, data: Mapping[str, object], text: str) -> Document:
    """Read all sections; every problem goes to the report."""
    report = root.report
    scope = Scope(report, data)
    _check_schema(root)
    mesh = _mesh(root)
    defaults = sections.read_defaults(root.table("defaults"))
    users = sections.read_users(root)
    groups = sections.read_groups(root, scope)
    _check_groups(root, groups)
    tags = sections.read_tags(root, scope)
    devices = sections.read_devices(root, scope)
    services = sections.read_services(root)
    resources = sections.read_resources(root, scope)
    ids = statements.Ids()
    rules = statements.read_rules(root, scope, services, ids)
    blocks = statements.read_blocks(root, scope, ids)
    tests = statements.read_tests(root, scope, ids)
    root.finish(later=_LATER_SECTIONS)
    return Document(
        file=report.file,
        mesh=mesh,
        defaults=defaults,
        users=users,
        groups=groups,
        tags=tags,
        devices=devices,
        services=services,
        resources=resources,
        rules=tuple(rules),
        blocks=tuple(blocks),
        tests=tuple(tests),
        lines=_lines(report, ids.paths),
        undeclared_devices=_lines(report, scope.undeclared_devices()),
        source_sha256=hashlib.sha256(text.encode(errors="surrogatepass")).digest(),
    )


def _check_schema(root: Table) -> None:
    """Refuse a document of another schema, or of none."""
    schema = root.get("schema", required=True)
    if schema is not None and (type(schema) is not int or schema != SCHEMA):
        root.problem(f"has schema = {schema!r}; this version reads schema = {SCHEMA}", "schema")


def _mesh(root: Table) -> str:
    """Read the name of the mesh."""
    mesh = root.text("mesh", required=True)
    if mesh is not None and not is_name(mesh, SelectorKind.DEVICE):
        form = name_form(SelectorKind.DEVICE)
        root.problem(f'has mesh = "{mesh}"; a mesh is called {form}', "mesh")
    return mesh or ""


def _check_groups(root: Table, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Bound what one user costs each node that judges him."""
    counts = Counter(user for members in groups.values() for user in members)
    for user, count in counts.items():
        if count > GROUPS_OF_USER_MAX:
            root.report.add(
                ("users", user),
                f'user "{user}" is in {count} groups; the most is {GROUPS_OF_USER_MAX}',
            )


def _lines(report: Report, paths: Mapping[str, Path]) -> Mapping[str, int]:
    """Give lines for paths."""
    return {name: report.line(path) for name, path in paths.items()}
