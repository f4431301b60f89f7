"""A policy in Cedar's language, as a second opinion by people who do not know ours.

Rules become `permit`, blocks `forbid`. What is Unknown is spelt out as what an attribute must
have, so nothing of the three-valued evaluator is used here, only the records it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crypto.clock import Interval
from policy.facts import DeviceFacts
from policy.model import ANY, Block, Policy, PortRange, Rule, Selector, SelectorKind, Subject
from tests.policy.build import World

LO, HI = "context.lo", "context.hi"


def any_of(texts: Iterable[str]) -> str:
    """Join alternatives."""
    return " || ".join(f"({text})" for text in texts) or "false"


def all_of(texts: Iterable[str]) -> str:
    """Join conditions."""
    return " && ".join(f"({text})" for text in texts) or "true"


def texts_set(texts: Iterable[str]) -> str:
    """Write a set of strings."""
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


class Translation:
    """One world in Cedar.

    Attributes:
        policies: All of them, as text.
    """

    def __init__(self, world: World) -> None:
        """Write the policies."""
        self._world = world
        self._policy: Policy = world.policy
        self.policies = "\n".join(
            [
                *(
                    f"permit(principal, action, resource) when {{ {self._rule(each)} }};"
                    for each in self._policy.rules
                ),
                *(
                    f"forbid(principal, action, resource) when {{ {self._block(each)} }};"
                    for each in self._policy.blocks
                ),
            ]
        )

    def entities(self) -> list[dict[str, Any]]:
        """Write the devices and users."""
        users = [
            {"uid": {"type": "User", "id": name}, "attrs": self._user(name), "parents": []}
            for name in self._world.directory.users
        ]
        devices = [
            {
                "uid": {"type": "Device", "id": each.device_id.hex()},
                "attrs": self._device(each, self._world.facts.of(each.device_id)),
                "parents": [],
            }
            for each in self._world.devices
        ]
        return users + devices

    def request(
        self,
        source: Subject,
        destination: Subject,
        flow: tuple[int | None, int | None],
        now: Interval,
    ) -> dict[str, Any]:
        """Write one question."""
        context = {"lo": int(now.lo), "hi": int(now.hi)}
        named = zip(("proto", "port"), flow, strict=True)
        context |= {name: value for name, value in named if value is not None}
        return {
            "principal": f'Device::"{source.device_id.hex()}"',
            "action": 'Action::"open"',
            "resource": f'Device::"{destination.device_id.hex()}"',
            "context": context,
        }

    def _user(self, name: str) -> dict[str, Any]:
        user = self._world.directory.users[name]
        attrs: dict[str, Any] = {
            "name": name,
            "revoked": name in self._world.facts.revoked_users,
            "groups": [g for g, all_ in self._world.directory.groups.items() if name in all_],
        }
        if user.identity is not None:
            attrs |= {"identity": user.identity, "issuer": user.identity.partition(":")[0]}
        return attrs | ({} if user.not_after is None else {"not_after": user.not_after})

    def _device(self, subject: Subject, facts: DeviceFacts) -> dict[str, Any]:
        directory = self._world.directory
        pinned = [
            n for n, each in directory.devices.items() if each.device_id == subject.device_id
        ]
        entry = directory.devices.get(subject.name)
        free = entry is None or entry.device_id is None
        attrs: dict[str, Any] = {
            "names": pinned + ([subject.name] if free and subject.name_trusted else []),
            "claimed": [subject.name] if free else [],
            "tags": sorted(subject.tags),
            "path": facts.path.value,
        }
        if subject.not_after is not None:
            attrs["not_after"] = int(subject.not_after)
        login = facts.login
        by_login = None
        if login is not None:
            identity = f"{login.issuer}:{login.subject}"
            by_login = next(
                (
                    name
                    for name, user in sorted(directory.users.items())
                    if user.identity == identity
                ),
                None,
            )
            attrs["login"] = {
                "identity": identity,
                "iat": login.iat,
                "exp": login.exp,
                "original_iat": login.original_iat,
                "amr": sorted(login.amr),
                **({} if login.groups is None else {"groups": sorted(login.groups)}),
                **({} if login.auth_time is None else {"auth_time": login.auth_time}),
                **({} if login.acr is None else {"acr": login.acr}),
            }
        person = subject.owner or by_login
        if person is not None and person in directory.users:
            attrs["person"] = {"__entity": {"type": "User", "id": person}}
        if by_login not in {None, person}:
            attrs["stranger"] = {"__entity": {"type": "User", "id": by_login}}
        if facts.posture is not None:
            said = {key.replace(".", "_"): value for key, value in facts.posture.facts.items()}
            attrs["posture"] = {"issued": facts.posture.issued, "facts": said}
        if facts.place is not None:
            attrs["place"] = {
                "ip": {"__extn": {"fn": "ip", "arg": str(facts.place.address)}},
                **({} if facts.place.country is None else {"country": facts.place.country}),
            }
        return attrs

    def _valid_login(self, end: str, user: str) -> str:
        """Say that the login on a device is of a user who has an identity, and still good."""
        session = self._policy.defaults.session_max
        return all_of(
            [
                f"{user} has identity",
                f"{end} has login",
                f"{end}.login.identity == {user}.identity",
                f"{HI} < {end}.login.exp",
                f"{HI} <= {end}.login.original_iat + {session}",
            ]
        )

    def _session(self, end: str) -> str:
        """Say that the person at an end counts."""
        person = f"{end}.person"
        return all_of(
            [
                f"{end} has person",
                f"!{person}.revoked",
                f"!({person} has not_after) || {HI} < {person}.not_after",
                f"!({person} has identity) || ({self._valid_login(end, person)})",
            ]
        )

    def _claimed(self, end: str, group: str) -> str:
        """Say that the token on a device lists a group."""
        values = texts_set(claim.value for claim in self._policy.claims.get(group, ()))
        return f"{end}.login has groups && {end}.login.groups.containsAny({values})"

    def _matches(self, end: str, selector: Selector) -> str:
        """Say that an end surely is what a rule names."""
        name, person = selector.name, f"{end}.person"
        if selector.kind is SelectorKind.USER:
            return f'{self._session(end)} && {person}.name == "{name}"'
        if selector.kind is SelectorKind.GROUP:
            member = f'{person}.groups.contains("{name}")'
            if name in self._policy.claims:
                member += f" || ({self._valid_login(end, person)} && {self._claimed(end, name)})"
            return f"{self._session(end)} && ({member})"
        if selector.kind is SelectorKind.TAG:
            return f'{end}.tags.contains("{name}")'
        if selector.kind is SelectorKind.RESOURCE:
            name = self._policy.resources[name]
        return (
            "false"
            if "/" in name or selector.kind is SelectorKind.SITE
            else (f'{end}.names.contains("{name}")')
        )

    def _may_match(self, end: str, selector: Selector) -> str:
        """Say that an end is, or for all we know might be, what a block names."""
        name = selector.name
        if selector.kind is SelectorKind.DEVICE:
            return f'{end}.names.contains("{name}") || {end}.claimed.contains("{name}")'
        if selector.kind not in {SelectorKind.USER, SelectorKind.GROUP}:
            return self._matches(end, selector)
        found = []
        for who in ("person", "stranger"):
            user = f"{end}.{who}"
            if selector.kind is SelectorKind.USER:
                told = f'{user}.name == "{name}"'
            else:
                told = f'{user}.groups.contains("{name}")'
                if name in self._policy.claims:
                    outside = all_of(
                        [
                            f"!{user}.revoked",
                            f"!({user} has not_after) || {HI} < {user}.not_after",
                            self._valid_login(end, user),
                            f"{end}.login has groups",
                            f"!({self._claimed(end, name)})",
                        ]
                    )
                    told += f' || ({user} has issuer && {user}.issuer == "okta" && !({outside}))'
            found.append(f"{end} has {who} && ({told})")
        return any_of(found)

    def _block(self, block: Block) -> str:
        ends = ("principal", "resource")
        return any_of(self._may_match(end, each) for end in ends for each in block.who)

    def _rule(self, rule: Rule) -> str:
        """Write a rule as one expression."""
        parts = [
            any_of(self._matches("principal", each) for each in rule.sources),
            any_of(self._matches("resource", each) for each in rule.destinations),
            any_of(map(_ports, rule.ports)),
            *(
                f"!({end} has not_after) || {HI} < {end}.not_after"
                for end in ("principal", "resource")
            ),
        ]
        if rule.not_before is not None:
            parts.append(f"{LO} >= {rule.not_before}")
        if rule.not_after is not None:
            parts.append(f"{HI} < {rule.not_after}")
        if rule.when:
            spans = [span for name in rule.when for span in self._policy.windows[name]]
            parts.append(any_of(f"{LO} >= {start} && {HI} < {end}" for start, end in spans))
        if rule.mfa_max_age is not None:
            parts.append(self._several_factors(rule.mfa_max_age))
        parts += [self._posture(name) for name in rule.posture]
        if rule.where:
            parts.append(self._place(rule.where))
        if rule.via is not None:
            parts.append(_path(rule.via.value))
        return all_of(parts)

    def _several_factors(self, max_age: int) -> str:
        issuer = self._policy.issuers["okta"]
        login = "principal.login"
        by_method = f"{login}.amr.containsAny({texts_set(issuer.mfa_amr)})"
        by_class = f"{login} has acr && {texts_set(issuer.mfa_acr)}.contains({login}.acr)"
        return all_of(
            [
                self._session("principal"),
                self._valid_login("principal", "principal.person"),
                f"{login} has auth_time",
                f"{login}.auth_time <= {login}.iat",
                f"{login}.auth_time <= {HI} + 60",
                f"{HI} <= {login}.auth_time + {max_age}",
                any_of([by_method, by_class]),
            ]
        )

    def _posture(self, name: str) -> str:
        max_age = self._policy.postures[name].max_age
        return all_of(
            [
                "principal has posture",
                f"principal.posture.issued <= {HI} + 60",
                f"{HI} <= principal.posture.issued + {max_age}",
                "principal.posture.facts has disk_encrypted",
                "principal.posture.facts.disk_encrypted == true",
            ]
        )

    def _place(self, names: Sequence[str]) -> str:
        ways = []
        for name in names:
            place = self._policy.places[name]
            countries = texts_set(place.countries)
            ways.append(
                f"principal.place has country && {countries}.contains(principal.place.country)"
            )
            ways += [f'principal.place.ip.isInRange(ip("{each}"))' for each in place.networks]
        return all_of([_path("direct"), "principal has place", any_of(ways)])


def _path(wanted: str) -> str:
    """Say how packets come: as the source's facts say, or else as the destination's do."""
    return (
        f'principal.path == "{wanted}" || '
        f'(principal.path == "unknown" && resource.path == "{wanted}")'
    )


def _ports(ports: PortRange) -> str:
    """Say that a flow is in a range."""
    if ports == ANY:
        return "true"
    text = f"context has proto && context.proto == {ports.proto}"
    if ports.lo is None:
        return text
    return (
        f"{text} && context has port && context.port >= {ports.lo} && context.port <= {ports.hi}"
    )
