"""Why a flow is allowed or denied, asked by names."""

from collections.abc import Iterable

from crypto.clock import Interval
from crypto.errors import LocalError
from crypto.objects import Directory
from policy.decide import Decision, Evaluator, Freshness, Moment
from policy.ends import Ends
from policy.facts import Facts, Supposed
from policy.model import Policy, Selector, SelectorKind, Subject
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS, parse_selector

_BARE_SOURCES = (SelectorKind.DEVICE, SelectorKind.USER)
_BARE_DESTINATIONS = (SelectorKind.RESOURCE, SelectorKind.DEVICE)


def why(  # noqa: PLR0913 - one keyword for each thing a decision depends on
    policy: Policy,
    directory: Directory,
    src: str,
    dst: str,
    *,
    proto: int | None,
    port: int | None,
    now: Interval,
    subjects: Iterable[Subject] | None = None,
    freshness: Freshness = "fresh",
    expires: float | None = None,
    facts: Facts | None = None,
    supposed: Supposed | None = None,
) -> Decision:
    """Decide about a flow between names, as `decide` would between devices.

    Args:
        src: `user:x`, `group:x`, `tag:x`, `site:x` or `device:x`; bare, a device or else a user.
        dst: `resource:x`, `tag:x`, `device:x`, `site:x` or `site:x/NETWORK`; bare, a
            resource or else a device.
        proto: IANA protocol number.
        port: Destination port, or None where the protocol has none.
        now: The instant asked about.
        subjects: Devices known in fact, beyond those the directory declares.
        freshness: Age of the bundle.
        expires: When the bundle will expire; see `Moment`.
        facts: What is known of the devices.
        supposed: What to suppose of the source instead of what is known.

    Raises:
        LocalError: A name means nothing here.
    """
    evaluator = Evaluator(policy, directory)
    ends = Ends(evaluator, directory, subjects or ())
    names = _Names(policy, directory, ends)
    moment = Moment(now, facts or Facts(), freshness, expires)
    source = names.find(src, SOURCE_KINDS, _BARE_SOURCES)
    destination = names.find(dst, DESTINATION_KINDS, _BARE_DESTINATIONS)
    return evaluator.decide(
        ends.general(source, moment, supposed),
        ends.general(destination, moment),
        (proto, port),
        moment,
    )


def find_source(policy: Policy, directory: Directory, text: str) -> Selector:
    """Find who is meant, as `why` does.

    Raises:
        LocalError: The name means nothing here.
    """
    names = _Names(policy, directory, Ends(Evaluator(policy, directory), directory))
    return names.find(text, SOURCE_KINDS, _BARE_SOURCES)


def find_destination(policy: Policy, directory: Directory, text: str) -> Selector:
    """Find what is meant, as `why` does.

    Raises:
        LocalError: The name means nothing here.
    """
    names = _Names(policy, directory, Ends(Evaluator(policy, directory), directory))
    return names.find(text, DESTINATION_KINDS, _BARE_DESTINATIONS)


class _Names:
    """What there is to ask about."""

    def __init__(self, policy: Policy, directory: Directory, ends: Ends) -> None:
        named = {
            each.name
            for rule in policy.rules
            for each in (*rule.sources, *rule.destinations)
            if each.kind is SelectorKind.DEVICE
        }
        self._known = {
            SelectorKind.USER: directory.users.keys(),
            SelectorKind.GROUP: directory.groups.keys(),
            SelectorKind.TAG: directory.tags.keys()
            | {tag for each in ends.devices.values() for tag in each.tags},
            SelectorKind.DEVICE: ends.devices.keys() | named | set(policy.resources.values()),
            SelectorKind.RESOURCE: policy.resources.keys(),
            SelectorKind.SITE: policy.sites.keys(),
        }

    def find(
        self,
        text: str,
        kinds: frozenset[SelectorKind],
        bare: Iterable[SelectorKind],
    ) -> Selector:
        """Find what a text means.

        Raises:
            LocalError: Nothing.
        """
        if ":" in text:
            try:
                found = parse_selector(text, kinds)
            except ValueError as error:
                raise LocalError(str(error)) from None
            candidates = [found]
        else:
            candidates = [Selector(kind, text) for kind in bare]
        for candidate in candidates:
            if candidate.base in self._known[candidate.kind]:
                return candidate
        words = " or ".join(each.kind.word for each in candidates)
        raise LocalError(
            f'there is no {words} called "{candidates[0].name}"',
            remedy="`hedgerow policy matrix` lists the names",
        )
