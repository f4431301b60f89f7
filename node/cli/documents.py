"""Reading policy documents for commands: every mistake shown, each with file and line."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto.errors import LocalError, PeerError
from node.cli import report

if TYPE_CHECKING:  # imported when a command runs: start-up time counts
    from crypto.objects import Directory
    from policy.compile import Compiled
    from policy.model import Policy
    from policy.problems import Problem

DAY_SECONDS = 24 * 3600
# What `hedgerow admin sign` takes unless it is told otherwise.
EXPIRES_SECONDS = 30 * DAY_SECONDS
# Windows are worked out for so much longer than the bundle lasts, and a day before it.
HORIZON_DAYS = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy in the form that decides, from a document or from a bundle.

    Attributes:
        policy: Its rules.
        directory: The users, groups, tags and devices that its rules speak of.
        warnings: What the linter doubts; a bundle has none.
        test_lines: The line of each test; a bundle has none.
    """

    policy: "Policy"
    directory: "Directory"
    warnings: "tuple[Problem, ...]" = ()
    test_lines: tuple[int, ...] = ()


def compile_file(path: Path, *, expires_seconds: int = EXPIRES_SECONDS) -> "Compiled":
    """Compile a document, or print all that is wrong with it and fail.

    Args:
        path: The document.
        expires_seconds: How long the bundle will last; its windows are worked out for that.

    Raises:
        LocalError: It has mistakes, is not text, or cannot be read.
    """
    problems, compiled = try_compile(path, expires_seconds=expires_seconds)
    for problem in problems:
        click.echo(str(problem), err=True)
    if compiled is None:
        raise mistakes(path, len(problems))
    return compiled


def try_compile(
    path: Path, *, expires_seconds: int = EXPIRES_SECONDS
) -> "tuple[tuple[Problem, ...], Compiled | None]":
    """Compile a document and return all that is wrong with it, or what came out.

    Raises:
        LocalError: It is not text, or cannot be read.
    """
    from node.admin import files
    from policy.compile import compile_document
    from policy.document import parse
    from policy.lint_unused import unused
    from policy.problems import DocumentError

    try:
        text = files.read(path).decode()
    except UnicodeDecodeError as error:
        raise LocalError(
            f"{path} is not a policy document: it is not UTF-8 text",
            remedy="name the .toml file; bundles go to `hedgerow admin verify`",
        ) from error
    try:
        document = parse(text, str(path), files=lambda name: _beside(path, name))
        compiled = compile_document(document, horizon=_horizon(expires_seconds))
    except DocumentError as error:
        return error.problems, None
    warnings = sorted({*compiled.warnings, *unused(text, str(path))})
    return (), replace(compiled, warnings=tuple(warnings))


def _beside(path: Path, name: str) -> bytes:
    """Read a file that a document names, from the document's own folder.

    Raises:
        ValueError: It cannot be read.
    """
    from node.admin import files

    try:
        return files.read(path.parent / name)
    except LocalError as error:
        raise ValueError(str(error)) from error


def _horizon(expires_seconds: int) -> tuple[int, int]:
    """Return the days for which windows are worked out: whole ones, so that two runs agree."""
    from node.cli.clock import now

    today = int(now().hi) // DAY_SECONDS * DAY_SECONDS
    return today - DAY_SECONDS, today + expires_seconds + HORIZON_DAYS * DAY_SECONDS


def mistakes(path: Path, count: int) -> LocalError:
    """Return the error that sums up a document's mistakes, once they have been shown."""
    return LocalError(
        f"{path} has {report.count(count, 'mistake')}",
        remedy="put them right, then run the same command again",
    )


def problem_json(problem: "Problem") -> dict[str, object]:
    """Return a mistake or a warning for programs."""
    return {"file": problem.file, "line": problem.line, "message": problem.message}


def load(path: Path) -> Loaded:
    """Read a document or, if it is one, a bundle; nothing is said of a bundle's signatures.

    Raises:
        LocalError: It is neither, or has mistakes.
    """
    if path.suffix == ".hgb":
        return _load_bundle(path)
    return decoded(compile_file(path))


def decoded(compiled: "Compiled") -> Loaded:
    """Return a compiled document in the form that decides."""
    from crypto.objects import Directory
    from policy.model import Policy

    return Loaded(
        policy=Policy.decode(compiled.policy),
        directory=Directory.from_payload(compiled.directory),
        warnings=compiled.warnings,
        test_lines=compiled.test_lines,
    )


def _load_bundle(path: Path) -> Loaded:
    from crypto.bundle import Bundle
    from crypto.objects import Directory
    from node.admin import files
    from policy.model import Policy

    try:
        parts = Bundle.decode(files.read(path)).parts
        return Loaded(
            policy=Policy.decode(parts["policy"]),
            directory=Directory.from_payload(parts["directory"]),
        )
    except (PeerError, KeyError) as error:
        raise LocalError(
            f"{path} is not a bundle with a policy, or it is damaged: {error}",
            remedy="get it again from a node, or from the admin who signed it",
        ) from error


def test_failures(loaded: Loaded) -> list[dict[str, object]]:
    """Run a policy's tests and return those that fail, each with its line if it has one."""
    from policy.checks import run_tests

    return [
        {
            "line": loaded.test_lines[failure.index] if loaded.test_lines else None,
            "message": failure.message,
        }
        for failure in run_tests(loaded.policy, loaded.directory)
    ]


def require_tests(path: Path, loaded: Loaded) -> None:
    """Run a policy's tests; print all that fail and raise.

    Raises:
        LocalError: One fails.
    """
    failures = test_failures(loaded)
    for failure in failures:
        line = f":{failure['line']}" if failure["line"] else ""
        click.echo(f"{path}{line}: {failure['message']}", err=True)
    if failures:
        raise LocalError(
            f"{len(failures)} of the {len(loaded.policy.tests)} tests in {path} fail",
            remedy="change the rule or the test; `hedgerow policy why` explains one decision",
        )
