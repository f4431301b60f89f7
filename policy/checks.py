"""Running the tests of a policy: before signing, before co-signing, and before installing.

The same policy and directory give the same result anywhere and at any time, or a node that comes
back a month later could refuse what everybody signed. So a test speaks of the instant it names,
and one that names none speaks of every instant: time is walked from change to change.

A test that expects "allow" speaks of the name in general; one that expects "deny" speaks also of
everybody listed under it. So no member of a group slips through, and to block one member, or one
device of a tag, breaks no test that the others pass.

In the same way what a test does not suppose of its source is not so if it expects "allow", and may
be any way if it expects "deny".
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from crypto.clock import Interval
from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import Truth
from policy.decide import Decision, Evaluator, Flow, Moment
from policy.ends import Ends
from policy.facts import Supposed
from policy.model import Policy, PortRange, Rule, Selector, SelectorKind, Test, time_text
from policy.selectors import parse_selector
from policy.suppose import most_favourable


@dataclass(frozen=True, slots=True)
class TestFailure:
    """A test that the policy does not pass.

    Attributes:
        index: Its place in `Policy.tests`.
        test: The test.
        source: Who asked: the test's own source, or a member of it.
        destination: Who was asked.
        flow: Protocol and port.
        instant: When.
        decision: What was decided.
    """

    __test__: ClassVar[bool] = False  # pytest would take the class for one of its own

    index: int
    test: Test
    source: str
    destination: str
    flow: Flow
    instant: float
    decision: Decision

    @property
    def message(self) -> str:
        """Say what was expected and what came instead."""
        flow = flow_text(self.flow)
        test, decision = self.test, self.decision
        got = "allow" if decision.allow else "deny"
        rule = f" by {decision.rule}" if decision.rule else ""
        when = f" at {time_text(self.instant)}" if self.instant else ""
        return (
            f"{self.source} to {self.destination} on {flow}{when}: expected {_expected(test)}, "
            f"got {got}{rule} ({decision.reason})"
        )


def run_tests(policy: Policy, directory: Directory) -> tuple[TestFailure, ...]:
    """Run all tests of a policy, and give for each that fails the first failure found."""
    runner = _Runner(policy, directory)
    found = (next(runner.failures(index), None) for index in range(len(policy.tests)))
    return tuple(failure for failure in found if failure is not None)


class _Runner:
    """Asks the questions of tests."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        self._directory = directory
        self._evaluator = Evaluator(policy, directory)
        self._ends = Ends(self._evaluator, directory)

    def failures(self, index: int) -> Iterator[TestFailure]:
        """Give the failures of one test."""
        test = self._policy.tests[index]
        for instant in self._instants(test):
            moment = Moment(Interval(instant, instant))
            for ask in self._asks(test, moment):
                wrong = self._wrong(test, ask, moment)
                if wrong is not None:
                    yield TestFailure(
                        index, test, *ask.names, flow=ask.flow, instant=instant, decision=wrong
                    )

    def _instants(self, test: Test) -> Sequence[float]:
        """Give the instants to ask about: between two of them nothing changes by itself."""
        if test.at is not None:
            return [test.at]
        moment = Moment(Interval(0, 0))
        sources = self._parties(test.source, test, moment, test.supposed)
        destinations = self._parties(test.destination, test, moment, None)
        instants: set[float] = {0}
        for (_, source), (_, destination) in product(sources, destinations):
            for rule in self._evaluator.candidates(source, destination):
                instants |= self._borders(rule)
            for selector in (*source.claims, *destination.claims):
                user = self._directory.users.get(selector.name)
                if selector.kind is SelectorKind.USER and user is not None:
                    instants.add(user.not_after or 0)
        return sorted(instants)

    def _borders(self, rule: Rule) -> set[float]:
        """Give the instants at which a rule's own times begin or end."""
        borders = {rule.not_before or 0, rule.not_after or 0}
        for name in rule.when:
            borders |= {instant for span in self._policy.windows[name] for instant in span}
        return {float(instant) for instant in borders}

    def _asks(self, test: Test, moment: Moment) -> Iterator["_Ask"]:
        """Give all questions a test asks at one instant."""
        sources = self._parties(test.source, test, moment, test.supposed)
        destinations = self._parties(test.destination, test, moment, None)
        for (source_name, source), (destination_name, destination) in product(
            sources, destinations
        ):
            names = source_name, destination_name
            general = names == (str(test.source), str(test.destination))
            rules = self._evaluator.candidates(source, destination)
            for flow in _flows(test.ports, [ports for rule in rules for ports in rule.ports]):
                yield _Ask(names, source, destination, flow, general=general)

    def _parties(
        self, selector: Selector, test: Test, moment: Moment, supposed: Supposed | None
    ) -> Sequence[tuple[str, Party]]:
        """Give who is meant by one end; of those who are alike to all rules, one."""
        general = str(selector), self._ends.general(selector, moment, supposed)
        if test.allow:
            return [general]
        different: dict[Hashable, tuple[str, Party]] = {}
        for name, party in self._ends.particular(selector, moment, supposed):
            different.setdefault(self._evaluator.signature(party), (name, party))
        return [general, *different.values()]

    def _wrong(self, test: Test, ask: "_Ask", moment: Moment) -> Decision | None:
        """Give a decision that is not as expected; rule and reason are those in general."""
        decisions = list(self._decisions(test, ask, moment))
        for decision in decisions:
            if decision.allow is not test.allow:
                return decision
        if not ask.general or any(self._as_told(test, ask, each, moment) for each in decisions):
            return None
        return decisions[0]

    def _decisions(self, test: Test, ask: "_Ask", moment: Moment) -> Iterator[Decision]:
        """Decide under what the test supposes; if it expects "deny", under all it leaves open."""
        suppositions = [test.supposed]
        if not test.allow:
            rules = [
                rule
                for rule in self._evaluator.candidates(ask.source, ask.destination)
                if any(ports.covers(*ask.flow) for ports in rule.ports)
            ]
            suppositions = most_favourable(test.supposed, rules, self._policy)
        for supposed in suppositions:
            source = ask.source
            if supposed != test.supposed:
                selector = parse_selector(ask.names[0], frozenset(SelectorKind))
                source = self._ends.general(selector, moment, supposed)
            yield self._evaluator.decide(source, ask.destination, ask.flow, moment)

    def _as_told(self, test: Test, ask: "_Ask", decision: Decision, moment: Moment) -> bool:
        """Compare rule and reason, if the test names them."""
        if test.reason is not None and decision.reason is not test.reason:
            return False
        if test.rule is None or not test.allow:
            return test.rule in {None, decision.rule}
        judged = self._evaluator.judged(ask.source, ask.destination, ask.flow, moment)
        return any(
            rule.id == test.rule and verdict.value is Truth.TRUE for rule, verdict in judged
        )


@dataclass(frozen=True, slots=True)
class _Ask:
    """One question: who, whom, on which flow, and whether both ends are names in general."""

    names: tuple[str, str]
    source: Party
    destination: Party
    flow: Flow
    general: bool


def _flows(asked: Iterable[PortRange], granted: Sequence[PortRange]) -> Iterator[Flow]:
    """Give flows that stand for all in the ranges: between two of them nothing changes."""
    for ports in asked:
        if ports.proto is None:
            yield None, None
            yield from {(each.proto, each.lo) for each in granted}
        elif ports.lo is None or ports.hi is None:
            yield ports.proto, None
        else:
            borders = {ports.lo, ports.hi}
            for each in granted:
                if each.proto == ports.proto and each.lo is not None and each.hi is not None:
                    borders |= {each.lo, each.hi, each.lo - 1, each.hi + 1}
            for port in sorted(borders):
                if ports.lo <= port <= ports.hi:
                    yield ports.proto, port


def flow_text(flow: Flow) -> str:
    """Write a flow as a rule would: `tcp/22`."""
    proto, port = flow
    return str(PortRange(proto, port, port))


def _expected(test: Test) -> str:
    """Write what a test expects."""
    rule = f" by {test.rule}" if test.rule else ""
    reason = f" ({test.reason})" if test.reason else ""
    return f"{'allow' if test.allow else 'deny'}{rule}{reason}"
