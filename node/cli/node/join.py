"""hedgerow join: take an invite, or ask for approval and take the answer."""

import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

import click

from crypto.clock import Interval
from crypto.invite import Approval, Invite
from node import enrol, paths, settings
from node.cli.node.options import named_state, state_option


@click.command()
@click.argument("invite", required=False)
@state_option
@click.option("--name", default="", help="The device's name, where the invite does not say it.")
@click.option("--request", "ask", is_flag=True, help="Print a request for an admin to approve.")
@click.option("--approval", help="The admin's answer to a request: its text, or a file with it.")
@click.pass_context
def join(
    ctx: click.Context,
    *,
    invite: str | None,
    own_state: Path | None,
    name: str,
    ask: bool,
    approval: str | None,
) -> None:
    """Make this machine a member of a mesh.

    With INVITE (its text, or - to read it from stdin) the machine enrols itself. Without one, make
    a request with --request, have an admin approve it, and complete it with --approval.
    """
    if [invite is not None, ask, approval is not None].count(True) != 1:
        raise click.UsageError("Give one of INVITE, --request and --approval.")
    state = named_state(ctx, own_state)
    if invite is not None:
        _invited(state, _text(invite), name)
    elif approval is not None:
        _approved(state, _text(approval))
    else:
        places = paths.given(state) if state else paths.pending()
        click.echo(enrol.request(places, name=name or _host_name()).encode())


def _invited(state: Path | None, text: str, name: str) -> None:
    invite = Invite.decode(text)
    places = _places(state, invite.mesh_name)
    if invite.ticket.name is None:
        name = name or _host_name()
    _report(enrol.join(places, invite, _now(places), name=name), state)


def _approved(state: Path | None, text: str) -> None:
    approval = Approval.decode(text)
    requested = paths.given(state) if state else paths.pending()
    places = _places(state, enrol.mesh_name(approval))
    _report(enrol.approve(places, approval, _now(places), requested=requested), state)


def _report(joined: enrol.Joined, state: Path | None) -> None:
    device = joined.device
    verb = "joined" if joined.fresh else "is already in"
    click.echo(f"{device.name} {verb} {joined.mesh_name} as {device.address4}, {device.address6}")
    option = f" --state {state}" if state else ""
    click.echo(f"start it with: hedgerow up{option}", err=True)


def _places(state: Path | None, mesh_name: str) -> paths.Paths:
    return paths.of_mesh(mesh_name) if state is None else paths.given(state)


def _text(argument: str) -> str:
    """Return the text that an argument is, or that the file it names holds."""
    if argument == "-":
        return sys.stdin.read()
    with suppress(OSError):  # a pasted text is too long for the name of a file
        if Path(argument).is_file():
            return Path(argument).read_text(encoding="utf-8", errors="replace")
    return argument


def _host_name() -> str:
    """Return this machine's name as a mesh can have it."""
    first = socket.gethostname().partition(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", first).strip("-")[:63].strip("-") or "device"


def _now(places: paths.Paths) -> Interval:
    from node.clock import Clock

    return Clock(skew_seconds=settings.load(places.config).clock_skew_seconds).interval()
