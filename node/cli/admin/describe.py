"""How bundles are described, to people and to programs."""

from typing import TYPE_CHECKING, Final

from node.cli import report

if TYPE_CHECKING:  # imported when a command runs: they pull in the cryptography
    from node.admin.bundles import Inspected
    from policy.diff import Side

CHANGES_SHOWN: Final = 50


def bundle_json(inspected: "Inspected") -> dict[str, object]:
    """Return what programs may want to know of a bundle."""
    from node.admin import keytext

    head = inspected.head
    return {
        "epoch": head.epoch,
        "version": head.version,
        "head_id": inspected.head_id,
        "previous": head.previous,
        "complete": inspected.complete,
        "signers": sorted(keytext.format_key(key) for key in inspected.signers),
        "threshold": inspected.threshold,
        "issued": report.moment(head.issued),
        "stale_after": report.moment(head.stale_after),
        "expires": report.moment(head.expires),
        "parts": {
            name: {"hash": part.hash, "length": part.length, "version": part.version}
            for name, part in sorted(head.parts.items())
        },
        "tests": len(inspected.policy.tests),
        "failures": [failure.message for failure in inspected.failures],
    }


def bundle_facts(inspected: "Inspected") -> list[tuple[str, object]]:
    """Return what people want to know of a bundle, as named lines."""
    head = inspected.head
    tests = len(inspected.policy.tests)
    failed = len(inspected.failures)
    signed = f"{len(inspected.signers)} of the {inspected.threshold} needed"
    return [
        ("version", f"{head.version} under root {head.epoch}"),
        ("signatures", signed if inspected.complete else f"{signed}: not in force yet"),
        ("issued", report.moment(head.issued)),
        ("stale after", report.moment(head.stale_after)),
        ("expires", report.moment(head.expires)),
        ("tests", f"{failed} of {tests} fail" if failed else f"all {tests} pass"),
    ]


def tell_changes(before: "Side | None", after: "Side") -> None:
    """Say who gains and who loses access by a policy, before anyone signs it."""
    from policy.diff import compare

    found = compare(before, after)
    for name in found.redefined:
        report.note(f"  gives another meaning to {name}")
    for change in found.changes[:CHANGES_SHOWN]:
        report.note(f"  {change}")
    if len(found.changes) > CHANGES_SHOWN:
        more = report.count(len(found.changes) - CHANGES_SHOWN, "change")
        report.note(f"  and {more} more; compare with `hedgerow policy diff`")
    if not found.changes:
        report.note("  nobody gains or loses access")
