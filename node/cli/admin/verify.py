"""`hedgerow admin verify`: read a bundle to the last byte and say who stands behind it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto.errors import LocalError
from node.cli import report
from node.cli.admin.describe import bundle_facts, bundle_json
from node.cli.admin.options import dir_option, open_folder
from node.cli.params import FILE

if TYPE_CHECKING:  # imported when the command runs: they pull in the cryptography
    from node.admin.bundles import Inspected
    from node.admin.folder import Folder


@click.command()
@click.argument("bundle", type=FILE)
@dir_option
@report.json_option
def verify(*, bundle: Path, folder_path: Path, as_json: bool) -> None:
    """Check BUNDLE against the folder's first root: signatures, hashes, order, age and tests.

    Exit code 0 means that a node which knows what this folder knows would put it in force now.
    """
    from node.admin import bundles, files

    folder = open_folder(folder_path)
    inspected = bundles.inspect(files.read(bundle), folder)
    problems = _problems(inspected, folder)
    if as_json:
        report.emit({"ok": not problems, "problems": problems, **bundle_json(inspected)})
    else:
        report.facts([("bundle", bundle), *bundle_facts(inspected), *_signers(inspected, folder)])
    if problems:
        raise LocalError(
            f"{bundle} would not be put in force: {'; '.join(problems)}",
            remedy="see above for what is missing; nothing was changed",
        )


def _problems(inspected: "Inspected", folder: "Folder") -> list[str]:
    from crypto.errors import TrustError
    from node.admin import bundles

    problems = []
    if not inspected.complete:
        problems.append(f"{report.count(inspected.missing, 'more signature')} needed")
    try:
        bundles.require_newest(inspected, bundles.newest(folder))
    except TrustError as error:
        problems.append(error.message)
    if folder.now.may_have_reached(inspected.head.expires):
        problems.append(f"it expired at {report.moment(inspected.head.expires)}")
    if inspected.head.issued > folder.now.hi:
        problems.append(f"it comes from the future: {report.moment(inspected.head.issued)}")
    if inspected.failures:
        problems.append(f"{len(inspected.failures)} of its own tests fail")
    return problems


def _signers(inspected: "Inspected", folder: "Folder") -> list[tuple[str, object]]:
    from node.admin import keytext

    holders = folder.root.roles["policy"].keys
    return [
        ("signed by" if key in inspected.signers else "not by", keytext.format_key(key))
        for key in sorted(holders, key=lambda key: key not in inspected.signers)
    ]
