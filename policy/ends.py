"""The ends of a flow that does not exist: what `group:dba` or `tag:prod` means in a question.

A name stands for two things. In general it is something that has this name and nothing else: a
member of the group who is in no other one, a device with no other tag. In particular it is
everybody the directory lists under it, with all that they are besides.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import ALWAYS
from policy.decide import Evaluator, Moment
from policy.model import Selector, SelectorKind, Subject


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

    def general(self, selector: Selector, moment: Moment) -> Party:
        """Give something that answers to the name and, as far as can be, to nothing else."""
        if selector.kind is SelectorKind.DEVICE:
            return self._evaluator.party(self._device(selector.name), moment)
        if selector.kind is SelectorKind.RESOURCE:
            host = self._evaluator.policy.resources[selector.name]
            return self._evaluator.party(self._device(host), moment)
        if selector.kind is SelectorKind.USER:
            identities = self._evaluator.identities
            return Party(identities.user(selector.name, moment.facts, moment.now))
        return Party({selector: ALWAYS})

    def particular(self, selector: Selector, moment: Moment) -> Iterator[tuple[str, Party]]:
        """Give everybody whom the directory lists under a group or tag, each with a name."""
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
            yield str(each), self.general(each, moment)

    def _device(self, name: str) -> Subject:
        """Give a device; one that nobody has enrolled yet will have its name from an admin."""
        return self.devices.get(name) or Subject(b"", name, name_trusted=True)
