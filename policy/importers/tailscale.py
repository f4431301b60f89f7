"""Tailscale's policy file, as a policy document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crypto.objects import Directory
from policy.checks import run_tests
from policy.compile import compile_document
from policy.document import parse
from policy.importers import hujson
from policy.importers.findings import Finding, Findings
from policy.importers.names import choose
from policy.importers.reading import read
from policy.importers.records import Check
from policy.importers.writing import Writer
from policy.model import Policy, Test


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a policy file.

    Attributes:
        toml: A document that compiles.
        not_imported: What has no equivalent, and so is denied.
        notes: What else its reader should know: new names, tests that do not pass.
    """

    toml: str
    not_imported: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def convert(text: str, file: str, *, mesh: str) -> Imported:
    """Make a document of a policy file.

    Args:
        text: The HuJSON.
        file: What the document and errors call it.
        mesh: Name of the mesh the document is for.

    Raises:
        LocalError: It is no policy file, or what came of it is too large for a document.
    """
    findings = Findings()
    source = read(hujson.parse(text, file), file, findings)
    writer = Writer(source, choose(source.names, findings), file, mesh)
    document = writer.document()
    tests = list(_tests(source.checks, writer, *_compiled(document, file), findings))
    left, notes = tuple(sorted(set(findings.left))), tuple(sorted(set(findings.notes)))
    toml = writer.head(left, notes) + document + writer.tests(tests)
    _compiled(toml, file)
    return Imported(toml, left, notes)


def _compiled(toml: str, file: str) -> tuple[Policy, Directory]:
    """Compile a document as a proof that it can be."""
    compiled = compile_document(parse(toml, f"what was made of {file}"))
    return Policy.decode(compiled.policy), Directory.from_payload(compiled.directory)


def _tests(
    checks: Sequence[Check],
    writer: Writer,
    policy: Policy,
    directory: Directory,
    findings: Findings,
) -> Iterator[tuple[int, Test]]:
    """Give the tests to write, each with its line, and tell of those that do not pass.

    Of the flows one of which has to pass, the first that does is tested.
    """
    asked = [[writer.test(check, flow) for flow in check.flows] for check in checks]
    every = tuple(dict.fromkeys(test for tests in asked for test in tests))
    failing = {failure.test for failure in run_tests(replace(policy, tests=every), directory)}
    for check, tests in zip(checks, asked, strict=True):
        passing = [test for test in tests if test not in failing]
        wanted = (passing or tests)[:1] if check.allow else tests
        if not failing.isdisjoint(wanted):
            findings.note(check.line, check.what, _FAILS[check.allow])
        yield from ((check.line, test) for test in wanted)


_FAILS = {
    True: "this test fails: nothing that could be imported grants it; write a rule that does",
    False: "this test fails: what it denies, a rule grants to somebody it is about",
}
