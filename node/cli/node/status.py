"""hedgerow status: this node, its bundle, its peers, and what is wrong."""

from pathlib import Path
from typing import Any

import click

from node.cli.node.options import client, state_option
from node.cli.report import emit, facts, json_option, table

# What programs rely on, in this order; the daemon may say more to this command.
KEYS = ("mesh", "self", "bundle", "wireguard", "peers", "alarms", "bootstrap")


@click.command()
@state_option
@json_option
@click.pass_context
def status(ctx: click.Context, *, own_state: Path | None, as_json: bool) -> None:
    """Show this node, its bundle and its peers."""
    reply = client(ctx, own_state).get("/v1/status")
    if as_json:
        emit({key: reply[key] for key in KEYS})
        return
    _show(reply)


def _show(reply: dict[str, Any]) -> None:
    me, wireguard = reply["self"], reply["wireguard"]
    facts(
        [
            ("mesh", reply["mesh"]),
            ("name", me["name"]),
            ("id", me["id"]),
            ("addresses", f"{me['overlay4']}, {me['overlay6']}"),
            ("bundle", bundle_text(reply["bundle"])),
            ("wireguard", f"{wireguard['backend']}, UDP port {wireguard['port']}"),
            *(("bootstrap", line) for line in reply.get("bootstrap", ())),
            *(("alarm", f"{alarm['code']}: {alarm['text']}") for alarm in reply["alarms"]),
        ]
    )
    show_peers(reply["peers"])


def bundle_text(bundle: dict[str, Any]) -> str:
    """Describe a bundle in one line."""
    if bundle["state"] == "none":
        return "none yet: nothing is allowed"
    age = int(bundle["age_seconds"])
    name = f"{bundle['epoch']}.{bundle['version']}, {bundle['state']}"
    for unit, seconds in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if age >= 2 * seconds:
            return f"{name}, {age // seconds} {unit} old"
    return f"{name}, {age} seconds old"


def show_peers(peers: list[dict[str, Any]]) -> None:
    """Print peers as a table."""
    if not peers:
        click.echo("no peers: no rule names this device and another one")
        return
    table(
        ("NAME", "ID", "STATE", "PATH", "ENDPOINT", "RTT"),
        (
            (
                peer["name"],
                peer["id"][:16],
                peer["state"],
                peer["path"],
                peer["endpoint"] or "-",
                "-" if peer["rtt_ms"] is None else f"{peer['rtt_ms']:.1f} ms",
            )
            for peer in peers
        ),
    )
