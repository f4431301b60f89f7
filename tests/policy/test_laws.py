"""The laws of the semantics, over random policies (T70), and the one form of a meaning (T56)."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Directory
from policy.decide import Decision, Flow, decide
from policy.model import Block, Policy, Rule
from tests.policy.build import RANDOM, TIMES, World, blocks, flows, moments, rules, worlds


def answers(
    policy: Policy, world: World, now: Interval, flow: Flow, directory: Directory | None = None
) -> list[Decision]:
    """Decide about a flow between each two devices of a world."""
    return [
        decide(
            policy,
            directory or world.directory,
            source=source,
            destination=destination,
            proto=flow[0],
            port=flow[1],
            facts=world.facts,
            now=now,
        )
        for source, destination in permutations(world.devices, 2)
    ]


@given(worlds(), rules("r9"), moments(), flows())
@RANDOM
def test_t70_a_further_rule_takes_no_access_away(
    world: World, more: Rule, now: Interval, flow: Flow
) -> None:
    """What was allowed stays allowed, for at least as long."""
    wider = replace(world.policy, rules=(*world.policy.rules, more))
    for before, after in zip(
        answers(world.policy, world, now, flow), answers(wider, world, now, flow), strict=True
    ):
        if before.allow:
            assert after.allow
            assert after.valid_until is None or (
                before.valid_until is not None and after.valid_until >= before.valid_until
            )


@given(worlds(), blocks("x9"), moments(), flows())
@RANDOM
def test_t70_a_further_block_gives_no_access(
    world: World, more: Block, now: Interval, flow: Flow
) -> None:
    """What was denied stays denied, and what is still allowed is allowed by the same rule."""
    narrower = replace(world.policy, blocks=(*world.policy.blocks, more))
    for before, after in zip(
        answers(world.policy, world, now, flow), answers(narrower, world, now, flow), strict=True
    ):
        # A group by claim that is blocked may come to match once the login ends.
        assert not after.allow or replace(after, valid_until=None) == replace(
            before, valid_until=None
        )
        assert not after.allow or _until(after) <= _until(before)


def _until(decision: Decision) -> float:
    """Give until when a decision stands, as a number that can be compared."""
    return math.inf if decision.valid_until is None else decision.valid_until


@given(worlds(), moments(), flows(), st.permutations(["n0", "n1", "n2", "n3"]))
@RANDOM
def test_t56_the_order_of_rules_does_not_matter(
    world: World, now: Interval, flow: Flow, names: list[str]
) -> None:
    """Rules named otherwise, and so sorted otherwise, allow the same for the same time."""
    renamed = sorted(
        (replace(rule, id=name) for rule, name in zip(world.policy.rules, names, strict=False)),
        key=lambda rule: rule.id,
    )
    other = replace(world.policy, rules=tuple(renamed))
    for before, after in zip(
        answers(world.policy, world, now, flow), answers(other, world, now, flow), strict=True
    ):
        assert (after.allow, after.valid_until) == (before.allow, before.valid_until)
        assert after.reason == before.reason or not after.allow


@given(worlds(), flows(), st.sampled_from([0, 0, 1, 7]))
@RANDOM
def test_t70_a_decision_changes_only_at_its_time(world: World, flow: Flow, width: float) -> None:
    """Swept over all borders, `allow` changes only at the time foretold."""
    foretold: list[Decision] = []
    seconds = {
        border + step for border in (90, *TIMES) for step in (-1, 0, 1, 6, 7, 8, 50, 51, 80, 81)
    }
    for second in sorted(seconds):
        now = Interval(second - width, second)
        found = answers(world.policy, world, now, flow)
        for number, (before, after) in enumerate(zip(foretold, found, strict=False)):
            if before.valid_until is None or second < before.valid_until:
                assert after.allow is before.allow
                found[number] = before
        foretold = found


@given(worlds())
@RANDOM
def test_a_policy_survives_its_encoding(world: World) -> None:
    """What is decoded is what was encoded, and encodes to the same bytes."""
    data = world.policy.encode()
    decoded = Policy.decode(data)
    assert decoded == world.policy
    assert decoded.encode() == data
