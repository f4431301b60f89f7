"""`hedgerow policy diff`: who gains and who loses access between two policies."""

from pathlib import Path

import click

from node.cli import documents, report
from node.cli.params import FILE


@click.command()
@click.argument("old", metavar="OLD", type=FILE)
@click.argument("new", metavar="NEW", type=FILE)
@click.option("--exit-code", is_flag=True, help="End with 1 if anything changes.")
@report.json_option
def diff(*, old: Path, new: Path, exit_code: bool, as_json: bool) -> None:
    """Show whose access NEW changes against OLD; each is a document or a bundle.

    Compared is who may reach what under which conditions, and not the text: a rule that is moved,
    renamed or split changes nothing.
    """
    from policy.diff import Side, compare

    before, after = (documents.load(path) for path in (old, new))
    found = compare(Side(before.policy, before.directory), Side(after.policy, after.directory))
    if as_json:
        report.emit(found.as_json())
    elif not found:
        click.echo("no change")
    else:
        for name in found.redefined:
            click.echo(f"gives another meaning to {name}")
        for change in found.changes:
            click.echo(str(change))
    if exit_code and found:
        click.get_current_context().exit(1)
