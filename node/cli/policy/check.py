"""`hedgerow policy check`: every mistake in a policy at once, and what the linter doubts."""

from pathlib import Path

import click

from crypto.errors import LocalError
from node.cli import documents, report
from node.cli.params import FILE


@click.command()
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@report.json_option
def check(*, path: Path, strict: bool, as_json: bool) -> None:
    """Check a policy document: all mistakes with file and line, and warnings."""
    problems, compiled = documents.try_compile(path)
    warnings = compiled.warnings if compiled else ()
    if as_json:
        report.emit(
            {
                "ok": compiled is not None,
                "mistakes": [documents.problem_json(problem) for problem in problems],
                "warnings": [documents.problem_json(problem) for problem in warnings],
            }
        )
    else:
        for problem in problems:
            click.echo(str(problem), err=True)
        for problem in warnings:
            click.echo(f"warning: {problem}", err=True)
    if problems:
        raise documents.mistakes(path, len(problems))
    if strict and warnings:
        raise LocalError(
            f"{path} has {report.count(len(warnings), 'warning')}",
            remedy="change what they speak of, or leave --strict out",
        )
    if compiled is not None and not as_json:
        loaded = documents.decoded(compiled)
        click.echo(
            f"{path}: {report.count(len(loaded.policy.rules), 'rule')}, "
            f"{report.count(len(loaded.policy.blocks), 'block')}, "
            f"{report.count(len(loaded.policy.tests), 'test')}; no mistakes"
        )
