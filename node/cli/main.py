"""The `hedgerow` command: the verbs of a node, and the groups of the admin, loaded when called.

Exit codes: 0 it worked, 1 it failed or was denied, 2 the command line was wrong.
"""

from pathlib import Path

import click

from node.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "join": Lazy("node.cli.node.join:join", "Make this machine a member of a mesh."),
    "up": Lazy("node.cli.node.up:up", "Run the node."),
    "down": Lazy("node.cli.node.down:down", "Leave the mesh and remove interface and rules."),
    "status": Lazy("node.cli.node.status:status", "Show this node, its bundle and its peers."),
    "peers": Lazy("node.cli.node.peers:peers", "List the devices that a rule lets us talk to."),
    "ping": Lazy("node.cli.node.ping:ping", "Measure the path to a device, by name."),
    "why": Lazy("node.cli.node.why:why", "Explain one decision: SRC DST:PROTO/PORT."),
    "doctor": Lazy("node.cli.node.doctor:doctor", "Look for what keeps a node from running."),
    "publish": Lazy("node.cli.node.publish:publish", "Hand signed objects to the mesh."),
    "admin": Lazy("node.cli.admin:group", "Roots, bundles, invites, approvals, revocations."),
    "policy": Lazy("node.cli.policy:group", "Check, compile, test and compare policies."),
    "demo": Lazy("node.cli.demo:demo", "Bring up a mesh in network namespaces."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99},
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="State directory of the node, where it is not the default.",
)
@click.version_option(package_name="hedgerow")
@click.pass_context
def cli(ctx: click.Context, state: Path | None) -> None:
    """Run a private mesh with no server: offline admin keys, signed policy, WireGuard."""
    ctx.obj = state


def main() -> None:
    """Run the command line of this process."""
    cli(prog_name="hedgerow")


if __name__ == "__main__":
    main()
