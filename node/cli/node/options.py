"""What the verbs of a node share: which node is meant, and how to reach its daemon."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from node import paths
from node.api.client import Client

_F = TypeVar("_F", bound=Callable[..., object])


def state_option(function: _F) -> _F:
    """Give a verb its own --state, besides the one before the verb."""
    return click.option(
        "--state",
        "own_state",
        type=click.Path(file_okay=False, path_type=Path),
        help="State directory of the node, where it is not the default.",
    )(function)


def named_state(ctx: click.Context, own_state: Path | None) -> Path | None:
    """Return the state directory that the command line names, or None."""
    given = own_state or ctx.find_root().obj
    return given if isinstance(given, Path) else None


def places(ctx: click.Context, own_state: Path | None) -> paths.Paths:
    """Return the places of the node that the command line means.

    Raises:
        LocalError: it is not clear which.
    """
    return paths.locate(named_state(ctx, own_state))


def client(ctx: click.Context, own_state: Path | None) -> Client:
    """Return a client of the daemon that the command line means."""
    return Client(places(ctx, own_state).socket)
