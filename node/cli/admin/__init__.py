"""`hedgerow admin`: what admins do, on a machine that need not be on any network."""

from node.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "init": Lazy("node.cli.admin.init:init", "Found a mesh: keys, root and folder."),
    "keygen": Lazy("node.cli.admin.keygen:keygen", "Make one holder's key."),
    "show": Lazy("node.cli.admin.show:show", "Show what the folder holds."),
    "invite": Lazy("node.cli.admin.invite:invite", "Sign a ticket and print an invite."),
    "approve": Lazy("node.cli.admin.approve:approve", "Sign a device that asked to join."),
    "revoke": Lazy("node.cli.admin.revoke:revoke", "Take a device, user, ticket or key out."),
    "sign": Lazy("node.cli.admin.sign:sign", "Sign a policy, or add a signature."),
    "propose": Lazy("node.cli.admin.cosign:propose", "Sign a policy as the next bundle."),
    "cosign": Lazy("node.cli.admin.cosign:cosign", "Check what was proposed, and sign it too."),
    "rotate-root": Lazy("node.cli.admin.rotate:rotate", "Replace keys, or renew the root."),
    "verify": Lazy("node.cli.admin.verify:verify", "Check a bundle: who signed what, until when."),
    "publish": Lazy("node.cli.admin.publish:publish", "Hand a signed file to a running node."),
}

group = LazyGroup(
    "admin",
    lazy=COMMANDS,
    help="""Roots, bundles, invites, approvals and revocations: all signed offline.

    Everything here works on the admin folder, named by --dir or HEDGEROW_ADMIN_DIR, else the
    folder one stands in; only `publish` talks to anything.""",
)
