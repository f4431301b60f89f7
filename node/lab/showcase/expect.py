"""What the policy says, asked of the evaluator offline, before anything is tried."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from crypto.clock import Interval
from crypto.objects import Directory
from node.lab.showcase.policy import OWNERS, PORTS, TAGS
from policy.compile import compile_document
from policy.decide import Evaluator, Moment
from policy.document import parse
from policy.model import Policy, Subject

TCP = 6


def expected_decisions(
    file: Path, machines: Sequence[str], wall: float
) -> dict[tuple[str, str, int], str]:
    """Return "allow" or "deny" for each (source, destination, TCP port) of the demo.

    Args:
        file: the policy as written.
        machines: their names.
        wall: the time to decide at, Unix seconds.
    """
    compiled = compile_document(parse(file.read_text(), str(file)))
    evaluator = Evaluator(
        Policy.decode(compiled.policy), Directory.from_payload(compiled.directory)
    )
    moment = Moment(Interval(wall, wall))
    parties = {name: evaluator.party(_subject(name), moment) for name in machines}
    return {
        (source, destination, port): "allow"
        if evaluator.decide(parties[source], parties[destination], (TCP, port), moment).allow
        else "deny"
        for source in machines
        for destination in machines
        if source != destination
        for port in PORTS
    }


def _subject(name: str) -> Subject:
    """The machine as its invite makes it; the evaluator needs any id, not the real one."""
    return Subject(
        device_id=hashlib.sha256(name.encode()).digest(),
        name=name,
        name_trusted=True,
        owner=OWNERS.get(name),
        tags=frozenset(TAGS.get(name, ())),
        not_after=None,
    )
