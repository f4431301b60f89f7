"""The sections of a document that say who and what there is."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from crypto.errors import ObjectError
from crypto.objects import DirectoryDevice, User
from policy.groups import flatten
from policy.issuers import Claim
from policy.limits import LEASE_SECONDS_MAX, RULE_RANGES_MAX, SESSION_SECONDS_MAX
from policy.locate import Path
from policy.logins import check_identity, claim_at, is_claim
from policy.ports import PortRange, normalise, parse_ports
from policy.records import Audit, Defaults, OnExpiry
from policy.scope import Scope
from policy.selectors import Selector, SelectorKind, is_name, name_form, parse_selector
from policy.tables import Table

_OWNER_KINDS = frozenset({SelectorKind.USER, SelectorKind.GROUP})


def read_defaults(table: Table) -> Defaults:
    """Read `[defaults]`."""
    usual = Defaults()
    defaults = Defaults(
        audit=table.choice("audit", Audit, usual.audit),
        session_max=table.duration(
            "session_max", usual.session_max, lo=60, hi=SESSION_SECONDS_MAX
        ),
        lease=table.duration("lease", usual.lease, lo=1, hi=LEASE_SECONDS_MAX),
        on_expiry=table.choice("on_expiry", OnExpiry, usual.on_expiry),
    )
    table.finish()
    return defaults


def read_users(root: Table, scope: Scope) -> Mapping[str, User]:
    """Read `[users.NAME]`."""
    users = {}
    for name, table in root.named("users"):
        _check_name(table, name, SelectorKind.USER)
        identity = table.text("id")
        if identity is not None:
            check_identity(table, scope, identity)
        not_after = table.time("not_after")
        table.finish()
        try:
            users[name] = User(identity, not_after)
        except ObjectError as error:
            table.problem(f"can not be used: {error}", "id")
    _check_identities(root, users)
    return users


def _check_identities(root: Table, users: Mapping[str, User]) -> None:
    """Report an identity that two users have: a login would be both."""
    first: dict[str, str] = {}
    for name, user in users.items():
        if user.identity is not None and first.setdefault(user.identity, name) != name:
            root.report.add(
                ("users", name, "id"),
                f"[users.{name}] has the id of user {first[user.identity]}; an id is one person's",
            )


def read_groups(
    root: Table, scope: Scope
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[Claim, ...]]]:
    """Read `[groups]`, and put the users and claims of nested groups into the outer ones."""
    table = root.table("groups")
    users: dict[str, set[str]] = {}
    claims: dict[str, set[Claim]] = {}
    nested: dict[str, list[str]] = {}
    for name in table.names():
        _check_entry_name(table, name, SelectorKind.GROUP)
        texts = table.texts(name)
        told = [claim_at(table, scope, path, text) for path, text in texts if is_claim(text)]
        found = [_member(table, scope, path, text) for path, text in texts if not is_claim(text)]
        members = [each for each in found if each is not None]
        users[name] = {each.name for each in members if each.kind is SelectorKind.USER}
        claims[name] = {each for each in told if each is not None}
        nested[name] = [each.name for each in members if each.kind is SelectorKind.GROUP]
    groups, cycles = flatten(users, nested)
    by_claim, _ = flatten(claims, nested)
    for cycle in cycles:
        way = " > ".join([*cycle, cycle[0]])
        table.problem(f"has a group that contains itself: {way}; take one of them out", cycle[0])
    return groups, {name: each for name, each in by_claim.items() if each}


def _member(table: Table, scope: Scope, path: Path, text: str) -> Selector | None:
    """Read a member of a group: a user's bare name, or `group:NAME`."""
    full = text if ":" in text else f"user:{text}"
    selector = selector_at(table, path, full, _OWNER_KINDS)
    if selector is not None:
        scope.check(path, selector)
    return selector


def read_tags(root: Table, scope: Scope) -> Mapping[str, tuple[str, ...]]:
    """Read `[tags]`: who may give a tag away."""
    tags = {}
    for name, table in root.named("tags"):
        _check_name(table, name, SelectorKind.TAG)
        owners = read_selectors(table, scope, "owners", _OWNER_KINDS)
        table.finish()
        tags[name] = tuple(str(owner) for owner in owners)
    return tags


def read_devices(root: Table, scope: Scope) -> Mapping[str, DirectoryDevice]:
    """Read `[devices.NAME]`."""
    devices = {}
    keys: dict[bytes, str] = {}
    for name, table in root.named("devices"):
        _check_name(table, name, SelectorKind.DEVICE)
        key = _device_key(table)
        if key is not None and keys.setdefault(key, name) != name:
            table.problem(f"has the key of device {keys[key]}; a key belongs to one device", "key")
        tags = []
        for path, tag in table.texts("tags"):
            scope.check(path, Selector(SelectorKind.TAG, tag))
            tags.append(tag)
        owner = table.text("owner")
        if owner is not None:
            scope.check((*table.path, "owner"), Selector(SelectorKind.USER, owner))
        table.finish(later=("address",))
        try:
            devices[name] = DirectoryDevice(key, tuple(sorted(tags)), owner)
        except ObjectError as error:
            table.problem(f"can not be used: {error}")
    return devices


def _device_key(table: Table) -> bytes | None:
    """Read `key = "ed25519:…"`, in hex or in base64 of either alphabet."""
    text = table.text("key")
    if text is None:
        return None
    prefix, _, digits = text.partition(":")
    key = _key_bytes(digits) if prefix == "ed25519" else None
    if key is None:
        table.problem('has a key that is not "ed25519:" and 32 bytes in hex or base64', "key")
    return key


def _key_bytes(digits: str) -> bytes | None:
    """Decode 32 bytes."""
    try:
        if len(digits) == 64:
            return bytes.fromhex(digits)
        plain = digits.rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == 32 else None


def read_services(root: Table) -> Mapping[str, tuple[PortRange, ...]]:
    """Read `[services]`."""
    table = root.table("services")
    services = {}
    for name in table.names():
        _check_entry_name(table, name, None)
        ranges: list[PortRange] = []
        for path, text in table.texts(name, required=True, limit=RULE_RANGES_MAX):
            ranges += ports_at(table, path, text)
        services[name] = normalise(ranges)
    return services


def read_selectors(
    table: Table,
    scope: Scope,
    key: str,
    kinds: frozenset[SelectorKind],
    *,
    required: bool = False,
    limit: int | None = None,
) -> tuple[Selector, ...]:
    """Read a list of selectors, sorted; what is wrong in it is reported and left out."""
    found = set()
    for path, text in table.texts(key, required=required, limit=limit):
        selector = selector_at(table, path, text, kinds)
        if selector is not None:
            scope.check(path, selector)
            found.add(selector)
    return tuple(sorted(found))


def selector_at(
    table: Table, path: Path, text: str, kinds: frozenset[SelectorKind]
) -> Selector | None:
    """Read a selector, or report what is wrong with it."""
    try:
        return parse_selector(text, kinds)
    except ValueError as error:
        table.report.add(path, f"{table.what}: {error}")
        return None


def ports_at(table: Table, path: Path, text: str) -> Sequence[PortRange]:
    """Read ports, or report what is wrong with them."""
    try:
        return parse_ports(text)
    except ValueError as error:
        table.report.add(path, f"{table.what}: {error}")
        return ()


def _check_name(table: Table, name: str, kind: SelectorKind) -> None:
    """Report a table whose name can not be one."""
    if not is_name(name, kind):
        table.problem(f"has no usable name; a {kind.word} is called {name_form(kind)}")


def _check_entry_name(table: Table, name: str, kind: SelectorKind | None) -> None:
    """Report a key whose name can not be one."""
    if not is_name(name, kind):
        word = "service" if kind is None else kind.word
        table.problem(f'has "{name}"; a {word} is called {name_form(kind)}', name)
