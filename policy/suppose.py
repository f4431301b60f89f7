"""What a question supposes, as facts: for tests and for `why`, never for what a node enforces.

A test that expects "deny" speaks of all that it leaves open, so for each rule that could grant
there is one supposition that leaves that rule nothing to ask for.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from policy.facts import NOTHING_KNOWN, DeviceFacts, Login, Place, PostureReport, Supposed, Via
from policy.model import Policy, Rule
from policy.posture import satisfying

_NOWHERE: Final = ipaddress.IPv4Address(0)
_SESSION_SECONDS: Final = 3600


def facts_of(
    supposed: Supposed, policy: Policy, identity: str | None, instant: float
) -> DeviceFacts:
    """Give the facts of a device of which something is supposed.

    Args:
        identity: Of the user, or None if it matters only that there is one.
        instant: What is supposed holds then.
    """
    checks = [check for name in supposed.postures for check in policy.postures[name].checks]
    found = satisfying(checks) if checks else None
    report = None if found is None else PostureReport(found, int(instant))
    return DeviceFacts(
        _login(supposed, policy, identity, int(instant)), report, _place(supposed), _via(supposed)
    )


def most_favourable(supposed: Supposed, rules: Iterable[Rule], policy: Policy) -> list[Supposed]:
    """Fill in what a question leaves open, once for each rule; without rules it stays open."""
    filled = dict.fromkeys(_favour(supposed, rule, policy) for rule in rules)
    return list(filled) or [supposed]


def _favour(supposed: Supposed, rule: Rule, policy: Policy) -> Supposed:
    """Fill in what is open as a rule would have it."""
    if rule.mfa_max_age is not None and supposed.login and supposed.mfa_age is None:
        supposed = replace(supposed, mfa_age=0)
    if not supposed.postures:
        supposed = replace(supposed, postures=rule.posture)
    if supposed.via is None and not supposed.elsewhere:
        supposed = replace(supposed, via=rule.via)
    if rule.where and not supposed.elsewhere and supposed.via is not Via.RELAY:
        place = policy.places[rule.where[0]]
        if place.countries:
            return replace(supposed, country=place.countries[0])
        return replace(supposed, cidr=str(place.networks[0]))
    return supposed


def _login(supposed: Supposed, policy: Policy, identity: str | None, instant: int) -> Login | None:
    """Give the login of somebody who has just logged in, and is in no group by claim."""
    name, _, subject = (identity or "").partition(":")
    if identity is None:
        name = next(iter(sorted(policy.issuers)), "")
    if not supposed.login or not name:
        return None
    issuer, age = policy.issuers.get(name), supposed.mfa_age
    several = age is not None and issuer is not None
    return Login(
        issuer=name,
        subject=subject,
        iat=instant,
        exp=instant + _SESSION_SECONDS,
        original_iat=instant,
        groups=frozenset(),
        auth_time=None if age is None else instant - age,
        amr=frozenset(issuer.mfa_amr if issuer is not None and several else ()),
        acr=_first(issuer.mfa_acr) if issuer is not None and several else None,
    )


def _first(texts: Sequence[str]) -> str | None:
    """Give the first of some texts."""
    return texts[0] if texts else None


def _place(supposed: Supposed) -> Place | None:
    """Give where the device is."""
    if supposed.cidr is not None:
        return Place(ipaddress.ip_network(supposed.cidr).network_address, supposed.country)
    return None if supposed.country is None else Place(_NOWHERE, supposed.country)


def _via(supposed: Supposed) -> Via:
    """Give the way of its packets; where a place is supposed it is seen, so the way is direct."""
    if supposed.via is not None:
        return supposed.via
    return Via.DIRECT if supposed.elsewhere else NOTHING_KNOWN.path
