"""Cedar decides as we do, and so do the tables that nodes install (T69).

HEDGEROW_DIFFERENTIAL=100000 asks so many questions instead of the usual thousand.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import cedarpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.clock import Interval
from policy.decide import Evaluator, Flow, Moment
from policy.grants import NodeRules
from tests.policy.build import World, flows, moments, worlds
from tests.policy.cedar import Translation

QUESTIONS = int(os.environ.get("HEDGEROW_DIFFERENTIAL", "1000"))
FLOWS = 2
MOMENTS = 2
PAIRS = 6
EXAMPLES = QUESTIONS // (PAIRS * (FLOWS + 1) * MOMENTS) + 1


@pytest.mark.timeout(3_600)
def test_t69_cedar_the_evaluator_and_the_tables_agree() -> None:
    """One question has one answer: by Cedar, by `decide`, and by membership in the grants."""
    answers: Counter[bool] = Counter()

    @given(
        worlds(),
        st.lists(moments(), min_size=MOMENTS, max_size=MOMENTS),
        st.lists(flows(), min_size=FLOWS, max_size=FLOWS),
    )
    @settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def compare(world: World, instants: list[Interval], asked: list[Flow]) -> None:
        answers.update(compared(world, instants, asked))

    compare()
    assert answers.total() >= QUESTIONS
    assert min(answers[True], answers[False]) > QUESTIONS / 100


def compared(world: World, instants: list[Interval], asked: list[Flow]) -> Iterator[bool]:
    """Give the answers on which all three agree."""
    translation = Translation(world)
    evaluator = Evaluator(world.policy, world.directory)
    # Chance seldom asks for what a rule opens, so each rule is asked for some of it.
    granted = [(rule.ports[-1].proto, rule.ports[-1].lo) for rule in world.policy.rules]
    questions = [
        (source, destination, flow, now)
        for source, destination in permutations(world.devices, 2)
        for flow in [*asked, *granted]
        for now in instants
    ]
    found = cedarpy.is_authorized_batch(
        [translation.request(*question) for question in questions],
        translation.policies,
        translation.entities(),
    )
    for (source, destination, flow, now), answer in zip(questions, found, strict=True):
        assert answer.diagnostics.errors == []
        moment = Moment(now, world.facts)
        ends = evaluator.party(source, moment), evaluator.party(destination, moment)
        decision = evaluator.decide(*ends, flow, moment)
        assert decision.allow is (answer.decision is cedarpy.Decision.Allow), decision
        node = NodeRules(world.policy, world.directory, destination).grants([source], moment)
        ports = [each.ports for each in node.inbound.get(source.device_id, ())]
        assert any(each.covers(*flow) for each in ports) is decision.allow
        yield decision.allow
