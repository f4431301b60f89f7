"""What can go wrong with the firewall."""

from crypto.errors import LocalError


class FirewallError(LocalError):
    """The kernel did not take the rules. The rules that were in force before still are."""


class UnreadableTableError(FirewallError):
    """Something else than our table stands under its name. It still does."""
