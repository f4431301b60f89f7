"""`hedgerow admin propose` and `cosign`: the two halves of `sign`, by their plain names."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import click

from node.cli.admin.sign import ASKS, sign
from node.cli.params import FILE

# What belongs to one half only; the other half does not take it.
_PROPOSING: Final = {"policy": None, "abandon": False, "stale_after": 0, "expires": 0}
_COSIGNING: Final = {"added": None, "exported": None, "signatures": ()}


def _without(names: Collection[str]) -> list[click.Parameter]:
    return [each for each in sign.params if each.name not in names]


def _propose(**given: Any) -> None:  # noqa: ANN401 - the options of `sign`
    """Compile POLICY, run its tests, show what it changes, and sign it as the next bundle.

    Other holders complete the bundle with `hedgerow admin cosign`.
    """
    click.get_current_context().invoke(sign, **_COSIGNING, **given)


def _cosign(*, bundle: Path, yes: bool, **given: Any) -> None:  # noqa: ANN401 - as above
    """Check BUNDLE, or a root, and add signatures to it.

    Every hash is computed again from what the bundle carries, its tests are run, and who gains
    and who loses is shown; then it asks, and only then is a key touched.
    """
    context = click.get_current_context()
    context.meta[ASKS] = not yes
    context.invoke(sign, added=bundle, **_PROPOSING, **given)


propose = click.Command(
    "propose",
    params=[click.Argument(["policy"], type=FILE), *_without({*_COSIGNING, "policy"})],
    callback=_propose,
    help=_propose.__doc__,
)
cosign = click.Command(
    "cosign",
    params=[
        click.Argument(["bundle"], type=FILE),
        click.Option(["--yes"], is_flag=True, help="Sign without asking."),
        *_without({*_PROPOSING, "added"}),
    ],
    callback=_cosign,
    help=_cosign.__doc__,
)
