"""`hedgerow policy test`: the tests that a policy carries."""

from pathlib import Path

import click

from node.cli import documents, report
from node.cli.params import FILE


@click.command()
@click.argument("path", metavar="FILE", type=FILE)
@report.json_option
def test(*, path: Path, as_json: bool) -> None:
    """Run the tests of a policy document or a bundle; nothing is signed while one fails."""
    loaded = documents.load(path)
    if as_json:
        failures = documents.test_failures(loaded)
        report.emit({"ok": not failures, "tests": len(loaded.policy.tests), "failures": failures})
        if failures:
            click.get_current_context().exit(1)
        return
    documents.require_tests(path, loaded)
    click.echo(f"{path}: all {len(loaded.policy.tests)} tests pass")
