"""The section of a document that says who vouches for people: `[issuers]`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from policy.issuers import Claim, Issuer, Key, is_claim_text, parse_keys
from policy.locate import Path
from policy.scope import Scope
from policy.selectors import Selector, SelectorKind, is_name, name_form
from policy.tables import Table

Files: TypeAlias = Callable[[str], bytes]
"""Reads a file that a document names; raises ValueError with a reason if it can not."""

_CLAIM = "claim:"


def no_files(name: str) -> bytes:
    """Read nothing: for whoever compiles a document away from the files it names.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"no file can be read here, so not {name} either")


def read_issuers(
    root: Table, scope: Scope, files: Files
) -> tuple[Mapping[str, Issuer], Mapping[str, tuple[Key, ...]]]:
    """Read `[issuers.NAME]`, and the keys that each of them names."""
    issuers, keys = {}, {}
    for name, table in root.named("issuers"):
        if not is_name(name):
            table.problem(f"has no usable name; an issuer is called {name_form()}")
        issuer = _issuer(table, scope)
        found = _keys(table, files, () if issuer is None else issuer.algs)
        table.finish()
        if issuer is not None:
            issuers[name] = issuer
        if found:
            keys[name] = found
    return issuers, keys


def _issuer(table: Table, scope: Scope) -> Issuer | None:
    """Read one issuer but for its keys."""
    iss = table.text("iss", required=True)
    client_id = table.text("client_id", required=True)
    algs = _sorted(table, "algs") or ("RS256",)
    groups_claim = table.text("groups_claim")
    acr = _sorted(table, "mfa_acr")
    # Who names classes only has said what counts; otherwise RFC 8176's own word does.
    amr = _sorted(table, "mfa_amr") or (() if acr else ("mfa",))
    witnesses, need = _witnesses(table, scope)
    if iss is None or client_id is None:
        return None
    try:
        return Issuer(iss, client_id, algs, groups_claim or "groups", amr, acr, witnesses, need)
    except ValueError as error:
        table.problem(f"can not be used: {error}")
        return None


def _sorted(table: Table, key: str) -> tuple[str, ...]:
    """Read a list of texts, sorted."""
    return tuple(sorted(text for _, text in table.texts(key)))


def _witnesses(table: Table, scope: Scope) -> tuple[tuple[str, ...], int]:
    """Read `witnesses = { need = 3, of = [...] }`."""
    if "witnesses" not in table:
        return (), 0
    inner = table.inner("witnesses")
    need = inner.number("need", required=True)
    names = []
    for path, name in inner.texts("of", required=True):
        if is_name(name, SelectorKind.DEVICE):
            scope.check(path, Selector(SelectorKind.DEVICE, name))
        names.append(name)
    inner.finish()
    return tuple(sorted(names)), need or 0


def _keys(table: Table, files: Files, algs: Sequence[str]) -> tuple[Key, ...]:
    """Read the file of keys."""
    name = table.text("jwks", required=True)
    if name is None or not algs:
        return ()
    try:
        return parse_keys(files(name), algs)
    except ValueError as error:
        table.problem(f'has jwks = "{name}", which can not be used: {error}', "jwks")
        return ()


def claim_at(table: Table, scope: Scope, path: Path, text: str) -> Claim | None:
    """Read a member of a group that is a claim, `claim:ISSUER:VALUE`; None if it is wrong."""
    issuer, colon, value = text.removeprefix(_CLAIM).partition(":")
    if not colon:
        table.report.add(path, f'{table.what}: "{text}" is no claim; write claim:ISSUER:VALUE')
        return None
    scope.issuer(path, issuer)
    try:
        return Claim(issuer, value)
    except ValueError as error:
        table.report.add(path, f'{table.what}: "{text}" can not be used: {error}')
        return None


def is_claim(text: str) -> bool:
    """Say whether a member of a group is written as a claim."""
    return text.startswith(_CLAIM)


def check_identity(table: Table, scope: Scope, identity: str) -> None:
    """Report an identity, `ISSUER:SUBJECT`, that no token could prove."""
    issuer, _, subject = identity.partition(":")
    if not issuer or not is_claim_text(subject):
        table.problem(f'has id = "{identity}"; write it as "ISSUER:SUBJECT"', "id")
    else:
        scope.issuer((*table.path, "id"), issuer)
