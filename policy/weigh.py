"""How much one node's kernel must hold: an estimate from above, from the devices declared."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crypto.clock import Interval
from crypto.objects import Directory
from policy.decide import Evaluator, Moment
from policy.ends import Ends
from policy.model import Policy, Selector, SelectorKind

Costs = Mapping[Selector, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Weight:
    """What a device needs.

    Attributes:
        elements: In sets and maps of the firewall.
        device: Its name.
        rule: Id of the rule that needs most of it.
    """

    elements: int
    device: str
    rule: str


def heaviest(policy: Policy, directory: Directory) -> Weight | None:
    """Give the declared device that needs most; None if no rule concerns any.

    Each range of a rule needs an element, and one more for each peer that may use it. A gateway
    needs them for each region of its sites.
    """
    evaluator = Evaluator(policy, directory)
    moment = Moment(Interval(0, 0))
    devices = Ends(evaluator, directory).devices
    claims = {
        name: frozenset(evaluator.party(subject, moment).claims)
        for name, subject in devices.items()
    }
    regions = {site: len(evaluator.regions(site)) for site in policy.sites}
    for name, subject in devices.items():
        for site in evaluator.identities.sites_of(subject):
            claims[name] |= evaluator.identities.site_selectors(site)
    members: dict[Selector, set[str]] = defaultdict(set)
    for name, selectors in claims.items():
        for selector in selectors:
            members[selector].add(name)
    sides = [
        _costs(policy, members, regions, by_destination=True),
        _costs(policy, members, regions, by_destination=False),
    ]
    weights: dict[frozenset[Selector], Weight] = {}
    for name, selectors in sorted(claims.items()):
        costly = frozenset(each for each in selectors if any(each in side for side in sides))
        if costly and costly not in weights:
            weights[costly] = _weigh(name, costly, sides)
    return max(weights.values(), key=lambda weight: weight.elements, default=None)


def _costs(
    policy: Policy,
    members: Mapping[Selector, set[str]],
    regions: Mapping[str, int],
    *,
    by_destination: bool,
) -> Costs:
    """Give what each rule costs at one of its ends, by the selectors of that end."""
    costs: dict[Selector, dict[str, int]] = defaultdict(dict)
    peers: dict[tuple[Selector, ...], int] = {}
    for rule in policy.rules:
        near, far = rule.sources, rule.destinations
        if by_destination:
            near, far = far, near
        if far not in peers:
            peers[far] = len(set[str]().union(*(members.get(each, ()) for each in far)))
        for selector in near:
            pieces = regions[selector.base] if selector.kind is SelectorKind.SITE else 1
            costs[selector][rule.id] = len(rule.ports) * (1 + peers[far]) * pieces
    return costs


def _weigh(name: str, selectors: Iterable[Selector], sides: Iterable[Costs]) -> Weight:
    """Add up the rules that concern a device at either end."""
    total: Counter[str] = Counter()
    for side in sides:
        mine: dict[str, int] = {}
        for selector in selectors:
            mine |= side.get(selector, {})
        total.update(mine)
    rule, _ = max(total.items(), key=lambda item: (item[1], item[0]))
    return Weight(total.total(), name, rule)
