"""Remove a node's interface, routes and firewall table when no daemon does."""

from node import keystore, preflight, settings
from node.engine.view import interface_name
from node.kernel import links
from node.kernel.firewall import Firewall
from node.paths import Paths


async def remove(paths: Paths) -> None:
    """Remove what the node of this state directory has in the kernel, if anything.

    The tunnel goes first: while the table stands, nothing passes that was not granted.

    Raises:
        LocalError: this process may not do it, or the kernel refused.
    """
    preflight.check_rights()
    keys = keystore.load(paths.state)
    if keys is not None:
        # wireguard-go ends when its interface is removed; the routes go with it.
        await links.remove(interface_name(keys.device_id))
    found = settings.load(paths.config)
    preflight.check_firewall()
    with preflight.claim_table(found.firewall_table):
        await Firewall(table=found.firewall_table).remove()
