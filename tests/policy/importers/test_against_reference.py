"""The importer against an evaluator of Tailscale's rules, over random policy files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings

from crypto.clock import Interval
from crypto.objects import Directory
from policy.compile import compile_document
from policy.decide import Evaluator, Moment
from policy.document import parse
from policy.importers.tailscale import Imported, convert
from policy.model import Policy, Subject
from tests.policy.build import key
from tests.policy.importers import policies as made
from tests.policy.importers import reference
from tests.policy.importers.reference import Device

DEVICES = (
    *(Device(f"100.64.0.{9 + number}", user=user) for number, user in enumerate(made.USERS)),
    Device("100.64.1.2", tags=frozenset({"tag:web"})),
    Device("100.64.1.3", tags=frozenset({"tag:Web", "tag:db"})),
    Device("100.64.1.4", tags=frozenset({"tag:unknown"})),
)
FLOWS = (
    *((6, port) for port in (19, 20, 22, 31, 443, 65_535)),
    *((17, port) for port in (22, 80)),
    (132, 22),
    *((proto, None) for proto in (1, 58, 47)),
)
SLOW = settings(max_examples=40, deadline=None)
RENAMED = re.compile(r"is called (\S+?) here")


def decisions(
    policy: dict[str, Any], imported: Imported
) -> Iterator[tuple[Device, Device, tuple[int, int | None], bool, bool]]:
    """Give each flow between devices with what we decide about it, and what Tailscale does."""
    compiled = compile_document(parse(imported.toml, "imported.toml"))
    directory = Directory.from_payload(compiled.directory)
    evaluator = Evaluator(Policy.decode(compiled.policy), directory)
    moment = Moment(Interval(0, 0))
    parties = {device: evaluator.party(subject(device, imported), moment) for device in DEVICES}
    for source, one in parties.items():
        for destination, other in parties.items():
            if source is not destination:
                for flow in FLOWS:
                    ours = evaluator.decide(one, other, flow, moment).allow
                    theirs = reference.allows(policy, source, destination, *flow)
                    yield source, destination, flow, ours, theirs


def subject(device: Device, imported: Imported) -> Subject:
    """Give a device as our mesh knows it, under the names that the importer chose."""
    owner = None if device.user is None else called("user", device.user, imported)
    tags = {called("tag", tag.removeprefix("tag:"), imported) for tag in device.tags}
    return Subject(
        key(device.address),
        "d",
        name_trusted=True,
        owner=owner,
        tags=frozenset(tag for tag in tags if tag is not None),
    )


def called(kind: str, name: str, imported: Imported) -> str | None:
    """Give what a user or tag is called after the import; one it does not know has no name."""
    renamed = {
        note.what: match[1]
        for note in imported.notes
        if (match := RENAMED.match(note.why)) and note.what.startswith(kind)
    }
    what = f'{kind} "{name}"'
    return renamed.get(what, None if name in renamed.values() else name)


@SLOW
@given(made.policies(strange=True))
def test_an_import_never_widens(policy: dict[str, Any]) -> None:
    """Whatever a file holds, it compiles, and what Tailscale denies stays denied."""
    imported = convert(made.as_hujson(policy), "acl.hujson", mesh="acme")
    for *flow, ours, theirs in decisions(policy, imported):
        assert theirs or not ours, flow


@SLOW
@given(made.policies())
def test_a_whole_import_is_equal(policy: dict[str, Any]) -> None:
    """A file without anything that has no equivalent means the same afterwards."""
    imported = convert(made.as_hujson(policy), "acl.hujson", mesh="acme")
    assert imported.not_imported == ()
    for *flow, ours, theirs in decisions(policy, imported):
        assert ours is theirs, flow


@SLOW
@given(made.policies())
def test_tests_fail_as_they_would_there(policy: dict[str, Any]) -> None:
    """A test is told of as failing just if it fails at Tailscale."""
    imported = convert(made.as_hujson(policy), "acl.hujson", mesh="acme")
    told = {note.what for note in imported.notes if note.why.startswith("this test fails")}
    failing = {
        f'test {number} {key} "{target}"'
        for number, test in enumerate(policy["tests"], start=1)
        for key in ("accept", "deny")
        for target in test.get(key, ())
        if not reference.passes(policy, test, key, target)
    }
    assert told == failing
