"""Options and openings that the admin's commands share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from crypto.errors import LocalError
from node.cli import report
from node.cli.clock import now
from node.cli.params import FILE, FOLDER

if TYPE_CHECKING:  # imported when a command runs: they pull in the cryptography
    from crypto.invite import Bootstrap
    from node.admin.folder import Folder

# A month: time enough to bring holders together.
ROOT_WARNING_SECONDS: Final = 31 * 86400

dir_option = click.option(
    "--dir",
    "folder_path",
    type=FOLDER,
    envvar="HEDGEROW_ADMIN_DIR",
    show_envvar=True,
    default=Path(),
    help="The admin folder; else the current one.",
)

state_option = click.option(
    "--state", type=FOLDER, help="State directory of the node to hand it to."
)

socket_option = click.option(
    "--socket", type=click.Path(path_type=Path), help="Socket of the node to hand it to."
)

via_option = click.option(
    "--via",
    multiple=True,
    metavar="NAME=HOST:PORT",
    help="A member to join through; also HOST:PORT/ID, or the line from `hedgerow status`.",
)

via_node_option = click.option(
    "--via-node",
    "via_files",
    type=FILE,
    multiple=True,
    help="A file with such lines, or with what `hedgerow status --json` printed there.",
)


def open_folder(path: Path) -> "Folder":
    """Open the admin folder, all of it verified, and warn if its root ends soon."""
    from node.admin.folder import open_folder as opened

    folder = opened(path, now())
    root = folder.root
    if folder.now.may_have_reached(root.expires - ROOT_WARNING_SECONDS):
        report.note(
            f"warning: root {root.version} expires at {report.moment(root.expires)}; "
            "renew it with `hedgerow admin rotate-root`"
        )
    return folder


def publish_to(data: bytes, state: Path | None, socket: Path | None) -> list[dict[str, Any]]:
    """Hand signed bytes to the node on this machine; return what it took in, object by object.

    Raises:
        LocalError: No node is running, it is not ours to talk to, or it refuses.
    """
    from node import paths
    from node.api.client import Client

    if state is not None and socket is not None:
        raise click.UsageError("Name the node with --state or with --socket: not both.")
    if socket is None:
        socket = paths.locate(state or click.get_current_context().find_object(Path)).socket
    admitted: list[dict[str, Any]] = Client(socket).post("/v1/publish", data)["admitted"]
    return admitted


def via_members(
    folder: "Folder", texts: Sequence[str], paths: Sequence[Path]
) -> "tuple[Bootstrap, ...]":
    """Read the members to join through, from arguments and from files.

    Raises:
        LocalError: One of them is no member that can be reached.
    """
    from node.admin import enrol

    return enrol.bootstrap_members(folder, [*texts, *(t for p in paths for t in _lines(p))])


def _lines(path: Path) -> list[str]:
    """Return the bootstrap lines of a file: a line each, or under "bootstrap" in JSON."""
    from node.admin import files

    text = files.read(path).decode(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    found = status.get("bootstrap") if isinstance(status, dict) else text.splitlines()
    lines = [found] if isinstance(found, str) else list(found or ())
    usable = [line for line in lines if isinstance(line, str) and line.strip()]
    if not usable:
        raise LocalError(
            f"{path} names no member to join through",
            remedy="save the bootstrap line that `hedgerow status` prints on a member",
        )
    return usable
