"""The document: policy as people write it, in TOML, checked as a whole.

`parse` gives a document in which every name refers to something, or all the problems it has. The
language is described in docs/policy.md.
"""

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from crypto.objects import DirectoryDevice, User
from crypto.objects.roots import DEFAULT_POOL4
from policy import circumstances, questions, sections, statements
from policy.issuers import Claim, Issuer, Key
from policy.limits import DOCUMENT_CHARACTERS_MAX, GROUPS_OF_USER_MAX
from policy.locate import Locator, Path, locate
from policy.logins import Files, no_files, read_issuers
from policy.networks import read_resources, read_sites
from policy.places import PlaceSet
from policy.ports import PortRange
from policy.posture import Posture
from policy.problems import DocumentError, Problem, Report, printable
from policy.records import Block, Defaults, Rule, Test
from policy.scope import Scope
from policy.selectors import Network, SelectorKind, is_name, name_form
from policy.sites import Site
from policy.tables import Table
from policy.windows import Window

__all__ = ["Document", "DocumentError", "Problem", "parse"]

SCHEMA: Final = 1
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
        resources: The device that hosts each resource, or `SITE/NETWORK`.
        rules: Sorted by id; services stand as their ports.
        blocks: Sorted by id.
        tests: Each with its line.
        lines: The line of each rule and block, by id.
        undeclared_devices: Devices named but not declared, with the line that names them first.
        source_sha256: Of the text.
        issuers: By name.
        keys: The keys of each issuer.
        claims: The claims of each group that has some, those of groups in it included.
        sites: By name.
        postures: By name.
        windows: By name.
        places: By name.
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
    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    keys: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    postures: Mapping[str, Posture] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    places: Mapping[str, PlaceSet] = field(default_factory=dict)


def parse(
    text: str,
    filename: str,
    *,
    files: Files = no_files,
    pools: Iterable[Network] = (DEFAULT_POOL4,),
) -> Document:
    """Read a document.

    Args:
        text: The TOML.
        filename: What problems call it.
        files: Reads the files it names, such as an issuer's keys.
        pools: The mesh's own networks, which no site may overlap.

    Raises:
        DocumentError: It has problems; the error holds all of them.
    """
    data, locator = _load(text, filename)
    report = Report(filename, locator)
    document = _read(
        Table(report, (), data, "the document"), data, text, files=files, pools=tuple(pools)
    )
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


def _read(
    root: Table,
    data: Mapping[str, object],
    text: str,
    *,
    files: Files,
    pools: Sequence[Network],
) -> Document:
    """Read all sections; every problem goes to the report."""
    report = root.report
    scope = Scope(report, data)
    _check_schema(root)
    mesh = _mesh(root)
    defaults = sections.read_defaults(root.table("defaults"))
    issuers, keys = read_issuers(root, scope, files)
    users = sections.read_users(root, scope)
    groups, claims = sections.read_groups(root, scope)
    _check_groups(root, groups)
    tags = sections.read_tags(root, scope)
    devices = sections.read_devices(root, scope)
    services = sections.read_services(root)
    sites = read_sites(root, scope, pools)
    resources = read_resources(root, scope, sites)
    postures = circumstances.read_postures(root)
    windows = circumstances.read_windows(root)
    places = circumstances.read_places(root)
    ids = statements.Ids()
    rules = statements.read_rules(root, scope, services, ids, sites)
    blocks = statements.read_blocks(root, scope, ids)
    tests = questions.read_tests(root, scope, ids, sites)
    root.finish()
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
        issuers=issuers,
        keys=keys,
        claims=claims,
        sites=sites,
        postures=postures,
        windows=windows,
        places=places,
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
