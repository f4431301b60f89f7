"""A click group whose commands are imported only when they are called.

Start-up time is part of the interface: `hedgerow status` must not pay for the admin tools, nor the
admin tools for the daemon. So a group knows its commands as text, `module:attribute`, with the
line that help shows, and imports the one that was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from crypto.errors import HedgerowError

PREFIX = "hedgerow: "


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lives, and the one line that the group's help says about it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group that imports its commands by name, and prints our errors as sentence and remedy."""

    def __init__(
        self,
        name: str | None = None,
        *,
        lazy: Mapping[str, Lazy | str] | None = None,
        **attributes: Any,  # noqa: ANN401 - handed on to click unread
    ) -> None:
        """Make a group; `lazy` maps a command's name to `module:attribute`, or to a Lazy."""
        super().__init__(name, **attributes)
        self.lazy = {
            name: Lazy(entry, "") if isinstance(entry, str) else entry
            for name, entry in (lazy or {}).items()
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were declared."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command asked for."""
        entry = self.lazy.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.target} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the declared lines, without importing any."""
        rows = [(name, entry.help or self._short_help(ctx, name)) for name, entry in self._rows()]
        rows += [
            (name, command.get_short_help_str(formatter.width))
            for name, command in sorted(self.commands.items())
            if not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error of ours ends as two lines on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except HedgerowError as error:
            report(error)
            ctx.exit(1)

    def _rows(self) -> list[tuple[str, Lazy]]:
        return list(self.lazy.items())

    def _short_help(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str() if command else ""


def report(error: HedgerowError) -> None:
    """Write an error to stderr: one sentence, then what to do about it."""
    click.echo(f"{PREFIX}{error}", err=True)
    remedy = getattr(error, "remedy", "")
    if remedy:
        click.echo(f"  {remedy}", err=True)
