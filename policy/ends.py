"""The ends of a flow that does not exist: what `group:dba` or `tag:prod` means in a question.

A name stands for two things. In general it is something that has this name and nothing else: a
member of the group who is in no other one, a device with no other tag. In particular it is
everybody the directory lists under it, with all that they are besides.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import ALWAYS
from policy.decide import Evaluator, Moment
from policy.facts import DeviceFacts, Supposed
from policy.model import Selector, SelectorKind, Subject
from policy.selectors import site_selector
from policy.sites import within
from policy.suppose import facts_of

_NOTHING: Final = Supposed(login=False)


class Ends:
    """Finds the parties behind names.

    Args:
        evaluator: Judges what they answer to.
        directory: Lists them.
        subjects: Devices known in fact; each stands before what the directory says of its name.
    """

    def __init__(
        self, evaluator: Evaluator, directory: Directory, subjects: Iterable[Subject] = ()
    ) -> None:
        """Index the devices by name and by tag."""
        self._evaluator = evaluator
        self._directory = directory
        self.devices: Mapping[str, Subject] = {
            name: Subject(
                device.device_id or b"",
                name,
                name_trusted=True,
                owner=device.owner,
                tags=frozenset(device.tags),
            )
            for name, device in directory.devices.items()
        } | {subject.name: subject for subject in subjects}
        self._tagged: dict[str, list[str]] = defaultdict(list)
        for name, subject in sorted(self.devices.items()):
            for tag in subject.tags:
                self._tagged[tag].append(name)

    def general(
        self, selector: Selector, moment: Moment, supposed: Supposed | None = None
    ) -> Party:
        """Give something that answers to the name and, as far as can be, to nothing else.

        Args:
            supposed: What is known of it; None is nothing, beyond what `moment` holds.
        """
        if selector.kind is SelectorKind.RESOURCE:
            host = self._evaluator.policy.resources[selector.name]
            kind = SelectorKind.SITE if "/" in host else SelectorKind.DEVICE
            return self.general(Selector(kind, host), moment, supposed)
        identities = self._evaluator.identities
        if selector.kind is SelectorKind.DEVICE:
            subject = self._device(selector.name)
            if supposed is None:
                return self._evaluator.party(subject, moment)
            known = self._facts(supposed, subject.owner, moment)
            return identities.judge(subject, known, moment.facts.revoked_users, moment.now)
        if selector.kind is SelectorKind.USER:
            known = self._facts(supposed or _NOTHING, selector.name, moment)
            person = identities.person(selector.name, known.login, frozenset(), moment.now)
            return replace(person, facts=replace(known, login=person.facts.login))
        known = self._facts(supposed or _NOTHING, None, moment)
        if selector.kind is SelectorKind.SITE:
            site = identities.site(selector.base, selector.network)
            return replace(site, facts=replace(known, login=None, posture=None))
        in_session = known.login is not None and (
            selector.kind is SelectorKind.GROUP or known.login.auth_time is not None
        )
        if not in_session:
            return Party({selector: ALWAYS}, facts=replace(known, login=None))
        return Party({selector: ALWAYS}, session=ALWAYS, facts=known)

    def particular(
        self, selector: Selector, moment: Moment, supposed: Supposed | None = None
    ) -> Iterator[tuple[str, Party]]:
        """Give everybody whom the directory lists under a group or tag, each with a name.

        Of a site these are the parts that rules and resources name.
        """
        if selector.kind is SelectorKind.SITE:
            for part in self._evaluator.identities.parts(selector.base):
                if selector.network is None or within(part, selector.network):
                    each = site_selector(selector.base, part)
                    yield str(each), self.general(each, moment, supposed)
            return
        if selector.kind is SelectorKind.GROUP:
            inner = SelectorKind.USER
            names: Iterable[str] = self._directory.groups.get(selector.name, ())
        elif selector.kind is SelectorKind.TAG:
            inner = SelectorKind.DEVICE
            names = self._tagged.get(selector.name, ())
        else:
            return
        for name in names:
            each = Selector(inner, name)
            yield str(each), self.general(each, moment, supposed)

    def _facts(self, supposed: Supposed, user: str | None, moment: Moment) -> DeviceFacts:
        """Give what is supposed of a device at which a user sits; None: some user."""
        known = None if user is None else self._directory.users.get(user)
        identity = None if user is None else (known.identity if known else None) or ""
        return facts_of(supposed, self._evaluator.policy, identity, moment.now.hi)

    def _device(self, name: str) -> Subject:
        """Give a device; one that nobody has enrolled yet will have its name from an admin."""
        return self.devices.get(name) or Subject(b"", name, name_trusted=True)
