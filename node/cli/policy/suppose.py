"""What a question may suppose of its source: the options of `hedgerow policy why`."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from crypto.errors import LocalError
from node.cli.params import DURATION

if TYPE_CHECKING:  # imported when the command runs: start-up time counts
    from policy.facts import Supposed
    from policy.model import Policy


@dataclass(frozen=True, slots=True)
class Supposition:
    """What the command line supposes; None and empty where it says nothing."""

    mfa_age: int | None
    postures: tuple[str, ...]
    country: str | None
    cidr: str | None
    via: str | None

    def against(self, policy: "Policy") -> "Supposed | None":
        """Return it as the evaluator takes it; None if nothing is supposed.

        Raises:
            LocalError: The policy has no such posture, or it contradicts itself.
        """
        from policy.facts import Supposed, Via

        if self == Supposition(None, (), None, None, None):
            return None
        for name in self.postures:
            if name not in policy.postures:
                known = ", ".join(sorted(policy.postures)) or "none"
                raise LocalError(
                    f'there is no posture called "{name}"',
                    remedy=f"the policy has these: {known}",
                )
        try:
            return Supposed(
                mfa_age=self.mfa_age,
                postures=tuple(sorted(set(self.postures))),
                country=self.country,
                cidr=None if self.cidr is None else str(ipaddress.ip_network(self.cidr)),
                via=None if self.via is None else Via(self.via),
            )
        except ValueError as error:
            raise LocalError(
                f"that can not be supposed: {error}",
                remedy="change --country, --cidr or --via",
            ) from error


def suppose_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as one `supposition`."""

    @wraps(command)
    def called(
        *,
        mfa_age: int | None,
        postures: tuple[str, ...],
        country: str | None,
        cidr: str | None,
        via: str | None,
        **others: Any,  # noqa: ANN401 - what the command itself takes
    ) -> None:
        command(supposition=Supposition(mfa_age, postures, country, cidr, via), **others)

    for option in (
        click.option(
            "--via", type=click.Choice(["direct", "relay"]), help="The way of its packets."
        ),
        click.option("--cidr", metavar="A", help="An address or network it is in."),
        click.option("--country", metavar="CC", help="Country it is in, as IN."),
        click.option(
            "--posture", "postures", metavar="NAME", multiple=True, help="A posture it holds."
        ),
        click.option("--mfa-age", type=DURATION, help="Time since its user's multi-factor login."),
    ):
        called = option(called)
    return called
