"""`hedgerow policy why`: one decision, explained from a policy alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli import documents, report
from node.cli.clock import at_or_now
from node.cli.params import FILE, FLOW, MOMENT, FlowTo
from node.cli.policy.suppose import Supposition, suppose_options

if TYPE_CHECKING:  # imported when the command runs: start-up time counts
    from policy.decide import Decision


@click.command()
@click.argument("path", metavar="POLICY", type=FILE)
@click.argument("source", metavar="SRC")
@click.argument("flow", metavar="DST:PROTO/PORT", type=FLOW)
@click.option("--at", type=MOMENT, help="The instant to judge; else now.")
@suppose_options
@report.json_option
def why(
    *,
    path: Path,
    source: str,
    flow: FlowTo,
    at: float | None,
    supposition: Supposition,
    as_json: bool,
) -> None:
    """Explain whether SRC may reach DST, by a document or a bundle.

    SRC is user:NAME, group:NAME, tag:NAME, device:NAME or site:NAME; DST is resource:NAME,
    tag:NAME, device:NAME, site:NAME or an address at a site; a bare name will do. If anything is
    supposed, its user is taken to be logged in. Exit code 0 is allow, 1 is deny.
    """
    from policy.explain import why as explained
    from policy.reach import by_address

    loaded = documents.load(path)
    decision = explained(
        loaded.policy,
        loaded.directory,
        source,
        by_address(loaded.policy, flow.destination),
        proto=flow.proto,
        port=flow.port,
        now=at_or_now(at),
        supposed=supposition.against(loaded.policy),
    )
    if as_json:
        report.emit(
            {
                "decision": "allow" if decision.allow else "deny",
                "rule": decision.rule,
                "reason": decision.reason.value,
                "condition": decision.condition or None,
                "remedy": decision.remedy or None,
                "valid_until": report.moment(decision.valid_until, never="") or None,
            }
        )
    else:
        report.facts(_lines(source, flow, decision))
    if not decision.allow:
        click.get_current_context().exit(1)


def _lines(source: str, flow: FlowTo, decision: "Decision") -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [
        (f"{source} to {flow}", "allow" if decision.allow else "deny"),
        ("reason", decision.reason.value),
    ]
    if decision.rule:
        lines.append(("rule", decision.rule))
    if decision.condition:
        lines.append(("not met", decision.condition))
    if decision.remedy:
        lines.append(("remedy", decision.remedy))
    if decision.valid_until is not None:
        lines.append(("until", report.moment(decision.valid_until)))
    return lines
