"""The names a document declares, and whether what refers to them finds them."""

import difflib
from collections.abc import Collection, Mapping
from typing import Final

from policy.locate import Path
from policy.problems import Report
from policy.selectors import Selector, SelectorKind

SECTIONS: Final = {
    SelectorKind.USER: "users",
    SelectorKind.GROUP: "groups",
    SelectorKind.TAG: "tags",
    SelectorKind.DEVICE: "devices",
    SelectorKind.RESOURCE: "resources",
    SelectorKind.SITE: "sites",
}


class Scope:
    """What is declared, right or wrong: a broken section is reported once, not at each use."""

    def __init__(self, report: Report, data: Mapping[str, object]) -> None:
        """Take the names from the raw document."""
        self._report = report
        self._names = {kind: _keys(data, section) for kind, section in SECTIONS.items()}
        others = ("services", "issuers", "postures", "windows", "places")
        self._others = {section: _keys(data, section) for section in others}
        # A device may be enrolled later under the name its invite fixes, so a rule may name one
        # that is not declared. A test may too, if a rule or resource does.
        self._devices_named: dict[str, Path] = {}

    def check(self, path: Path, selector: Selector) -> None:
        """Report a selector that names nothing."""
        if selector.kind is SelectorKind.DEVICE:
            self._devices_named.setdefault(selector.name, path)
        elif selector.base not in self._names[selector.kind]:
            self.unknown(path, str(selector), selector.base, SECTIONS[selector.kind])

    def service(self, path: Path, name: str) -> bool:
        """Say whether a service is declared, and report one that is not."""
        return self.named(path, "services", name, f"service:{name}")

    def issuer(self, path: Path, name: str) -> bool:
        """Say whether an issuer is declared, and report one that is not."""
        return self.named(path, "issuers", name, f"issuer {name}")

    def named(self, path: Path, section: str, name: str, text: str) -> bool:
        """Say whether something that is no end of a flow is declared, and report it if not."""
        if name not in self._others[section]:
            self.unknown(path, text, name, section)
            return False
        return True

    def knows_device(self, name: str) -> bool:
        """Say whether a device is declared, or named by a rule or resource."""
        return name in self._names[SelectorKind.DEVICE] or name in self._devices_named

    def undeclared_devices(self) -> Mapping[str, Path]:
        """Give the devices that are named without being declared, with the first place."""
        declared = self._names[SelectorKind.DEVICE]
        return {name: path for name, path in self._devices_named.items() if name not in declared}

    def target(self, path: Path, name: str) -> Selector | None:
        """Find what a bare name in a test's `to` means: a resource, or else a device."""
        if name in self._names[SelectorKind.RESOURCE]:
            return Selector(SelectorKind.RESOURCE, name)
        if self.knows_device(name):
            return Selector(SelectorKind.DEVICE, name)
        known = {*self._names[SelectorKind.RESOURCE], *self._names[SelectorKind.DEVICE]}
        self._report.add(path, f'"{name}" is neither a resource nor a device{_near(name, known)}')
        return None

    def unknown(self, path: Path, text: str, name: str, section: str) -> None:
        """Report a name that is not declared where it should be."""
        known = self._others[section] if section in self._others else self._names[_KINDS[section]]
        self._report.add(
            path, f'"{text}" is not declared{_near(name, known)}; declare it in [{section}]'
        )


_KINDS: Final = {section: kind for kind, section in SECTIONS.items()}


def _keys(data: Mapping[str, object], section: str) -> Collection[str]:
    """Give the names of a section."""
    value = data.get(section)
    return value.keys() if isinstance(value, dict) else ()


def _near(name: str, known: Collection[str]) -> str:
    """Suggest a name that is written nearly like it."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""
