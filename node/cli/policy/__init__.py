"""`hedgerow policy`: read, test and explain a policy before anyone signs it."""

from node.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "check": Lazy("node.cli.policy.check:check", "Report every mistake in a policy at once."),
    "compile": Lazy("node.cli.policy.compile:compile_", "Write the parts that get signed."),
    "test": Lazy("node.cli.policy.test:test", "Run the tests that the policy carries."),
    "import-tailscale": Lazy(
        "node.cli.policy.import_tailscale:import_tailscale",
        "Make a document of a Tailscale policy file.",
    ),
    "matrix": Lazy("node.cli.policy.matrix:matrix", "Show who may reach what."),
    "diff": Lazy("node.cli.policy.diff:diff", "Show who gains and loses access: OLD NEW."),
    "who-can": Lazy("node.cli.policy.reach:who_can", "Show who can reach one thing."),
    "what-can": Lazy("node.cli.policy.reach:what_can", "Show what one name can reach."),
    "why": Lazy("node.cli.policy.why:why", "Explain one decision: SRC DST:PROTO/PORT."),
}

group = LazyGroup(
    "policy",
    lazy=COMMANDS,
    help="Check, compile, test and explain policies. Nothing here needs a key or a network.",
)
