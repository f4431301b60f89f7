"""hedgerow up: run the node, here or in the background."""

import gc
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import click

from crypto.errors import LocalError
from node.cli.lazy import PREFIX
from node.cli.node.options import places, state_option
from node.paths import Paths

START_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.05
_TAIL_BYTES = 4_000


@click.command()
@state_option
@click.option("--port", type=click.IntRange(1, 65535), help="UDP port; kept for later starts.")
@click.option("--background", is_flag=True, help="Return as soon as the node serves.")
@click.option("--log-json", is_flag=True, help="Write the log as JSON lines.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.pass_context
def up(
    ctx: click.Context,
    *,
    own_state: Path | None,
    port: int | None,
    background: bool,
    log_json: bool,
    debug: bool,
) -> None:
    """Run the node. It stops on SIGTERM or Ctrl-C; the tunnel and the rules stay in force.

    Use `hedgerow down` to leave the mesh and remove them.
    """
    found = places(ctx, own_state)
    if background:
        _background(found, port=port, log_json=log_json, debug=debug)
        return
    # What imports make stays for good: there is no garbage to look for, now or later.
    gc.disable()
    from node import log
    from node.daemon import main

    gc.freeze()
    gc.enable()
    log.configure(json=log_json, debug=debug)
    main(found, port=port)


def _background(found: Paths, *, port: int | None, log_json: bool, debug: bool) -> None:
    """Start the daemon in a session of its own and wait until it says that it is ready."""
    argv = [sys.executable, "-m", "node.cli.main", "up", "--state", str(found.state)]
    argv += [f"--port={port}"] if port else []
    argv += ["--log-json"] if log_json else []
    argv += ["--debug"] if debug else []
    with tempfile.TemporaryDirectory(prefix="hedgerow-") as folder:
        path = f"{folder}/ready"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
            _open_log(found) as log,
        ):
            ready.bind(path)
            child = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={**os.environ, "NOTIFY_SOCKET": path},
            )
            _await(child, ready, found)
    click.echo(f"the node is up; its log is {found.log}", err=True)


def _open_log(found: Paths) -> BinaryIO:
    try:
        descriptor = os.open(found.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise LocalError(
            f"the log {found.log} cannot be written: {error.strerror}",
            remedy="run as root, or check who owns the folder",
        ) from error
    return os.fdopen(descriptor, "ab")


def _await(child: "subprocess.Popen[bytes]", ready: socket.socket, found: Paths) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until:
        if select.select([ready], [], [], _POLL_SECONDS)[0]:
            if b"READY=1" in ready.recv(4_096):
                return
        elif child.poll() is not None:
            raise _last_words(found)
    raise LocalError(
        f"the node is not ready after {START_SECONDS_MAX:.0f} seconds",
        remedy=f"look at {found.log}; it may still get there",
    )


def _last_words(found: Paths) -> LocalError:
    """Return the error that a daemon ended with, from its log."""
    with found.log.open("rb") as log:
        log.seek(max(0, found.log.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    for number in reversed(range(len(lines))):
        if lines[number].startswith(PREFIX):
            remedy = lines[number + 1].strip() if number + 1 < len(lines) else ""
            return LocalError(lines[number].removeprefix(PREFIX), remedy=remedy)
    return LocalError("the node ended while it started", remedy=f"look at {found.log}")
