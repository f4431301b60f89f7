"""Issuers: who vouches for people, and with which keys.

What a node needs to verify a token stands in the `policy` part; the keys are a part of their own,
`jwks`, because they change more often than the rules.
"""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from crypto import codec
from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import PART_BYTES_MAX
from policy import wire
from policy.limits import ISSUER_KEYS_MAX, KEY_BYTES_MAX
from policy.selectors import SelectorKind, is_name

ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256")
"""Nothing symmetric, and never "none" (RFC 8725 section 3.1)."""

_KEY_TYPES: Final = {"ES256": "EC", "EdDSA": "OKP", "PS256": "RSA", "RS256": "RSA"}
_NEEDED: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PUBLIC: Final = frozenset({"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_TEXT: Final = re.compile(r"[\x21-\x7e]{1,255}")
_FORMAT: Final = 1

Key = Mapping[str, str]
"""The public members of a JSON Web Key (RFC 7517)."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody who vouches for people.

    Attributes:
        iss: Exact value of a token's `iss`.
        client_id: The mesh's own, which a token must be meant for.
        algs: Signature algorithms accepted, sorted.
        groups_claim: The claim that lists a person's groups.
        mfa_amr: Methods (RFC 8176) any of which counts as several factors, sorted.
        mfa_acr: Classes any of which does, sorted.
        witnesses: Devices that may attest a new key, sorted.
        need: How many of them it takes; 0 without witnesses.
    """

    iss: str
    client_id: str
    algs: tuple[str, ...] = ("RS256",)
    groups_claim: str = "groups"
    mfa_amr: tuple[str, ...] = ("mfa",)
    mfa_acr: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    need: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not be verified, or could be forged.

        Raises:
            ValueError: A value can not be meant.
        """
        if not _is_web_address(self.iss):
            raise ValueError(f'"{self.iss}" is not an https address without query or fragment')
        for text in (self.client_id, self.groups_claim, *self.mfa_amr, *self.mfa_acr):
            if not is_claim_text(text):
                raise ValueError(f"{text!r} is not 1 to 255 printable characters without spaces")
        for texts in (self.algs, self.mfa_amr, self.mfa_acr, self.witnesses):
            if list(texts) != sorted(set(texts)):
                raise ValueError("its lists must be sorted, and name each thing once")
        if not self.algs or not set(self.algs) <= set(ALGORITHMS):
            raise ValueError(f"its algorithms must be some of {', '.join(ALGORITHMS)}")
        if not all(is_name(name, SelectorKind.DEVICE) for name in self.witnesses):
            raise ValueError("its witnesses must be names of devices")
        if not bool(self.witnesses) <= self.need <= len(self.witnesses):
            raise ValueError(
                f"it needs {self.need} of {len(self.witnesses)} witnesses; need at least one, "
                "and no more than there are"
            )

    def proves_several_factors(self, amr: frozenset[str], acr: str | None) -> bool:
        """Say whether a login by these methods or of this class counts as several factors."""
        return not amr.isdisjoint(self.mfa_amr) or acr in self.mfa_acr


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A value that an issuer puts into the groups claim of a person's token."""

    issuer: str
    value: str

    def __post_init__(self) -> None:
        """Refuse what no token could hold.

        Raises:
            ValueError: The issuer is no name, or the value is no printable text.
        """
        if not is_name(self.issuer) or not (
            self.value.isprintable() and 0 < len(self.value) < 256
        ):
            raise ValueError(f"{self.issuer!r}, {self.value!r} can not be a claim")


def is_claim_text(text: str) -> bool:
    """Say whether a text can be an identifier in a token."""
    return _TEXT.fullmatch(text) is not None


def issuer_value(issuer: Issuer) -> Value:
    """Write an issuer."""
    value: dict[int, Value] = {
        1: issuer.iss,
        2: issuer.client_id,
        3: list(issuer.algs),
        4: issuer.groups_claim,
        5: list(issuer.mfa_amr),
        6: list(issuer.mfa_acr),
        7: list(issuer.witnesses),
        8: issuer.need,
    }
    return value


def read_issuer(value: Value) -> Issuer:
    """Read what `issuer_value` writes."""
    fields = wire.read_map(value, "issuer", frozenset(range(1, 9)))
    return Issuer(
        iss=wire.read_text(fields.get(1), "iss"),
        client_id=wire.read_text(fields.get(2), "client_id"),
        algs=wire.read_texts(fields.get(3), "algs"),
        groups_claim=wire.read_text(fields.get(4), "groups_claim"),
        mfa_amr=wire.read_texts(fields.get(5), "mfa_amr"),
        mfa_acr=wire.read_texts(fields.get(6), "mfa_acr"),
        witnesses=wire.read_texts(fields.get(7), "witnesses"),
        need=wire.read_int(fields.get(8), "need"),
    )


def parse_keys(data: bytes, algs: Sequence[str]) -> tuple[Key, ...]:
    """Read a JSON Web Key Set as an issuer publishes it; keys for other ends are left out.

    Raises:
        ValueError: It is none, or holds what must not be there; the message says what.
    """
    try:
        document = json.loads(data, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError('it has no list "keys" of tables')
    keys = [_key(each) for each in found if _fits(each, algs)]
    if not 1 <= len(keys) <= ISSUER_KEYS_MAX:
        raise ValueError(
            f"it has {len(keys)} keys for {', '.join(algs)}; an issuer has 1 to {ISSUER_KEYS_MAX}"
        )
    names = [key.get("kid") for key in keys]
    if len(set(names)) != len(names):
        raise ValueError("two of its keys have the same kid")
    return tuple(sorted(keys, key=lambda key: sorted(key.items())))


def encode_keys(keys: Mapping[str, Sequence[Key]]) -> bytes:
    """Give the `jwks` part: the keys of each issuer, by its name."""
    issuers: dict[str, Value] = {name: [dict(key) for key in each] for name, each in keys.items()}
    return codec.dumps({0: _FORMAT, 1: issuers})


def decode_keys(data: bytes) -> Mapping[str, tuple[Key, ...]]:
    """Read a `jwks` part; its hash must have been checked before.

    Raises:
        CodecError: The bytes are no CBOR of our profile, or too many.
        ObjectError: They are no keys.
    """
    fields = wire.read_map(
        codec.loads(data, max_bytes=PART_BYTES_MAX), "jwks", frozenset(range(2))
    )
    issuers = fields.get(1)
    if fields.get(0) != _FORMAT or not isinstance(issuers, dict):
        raise ObjectError(
            "jwks: it is of a format this version does not know",
            remedy="install a newer hedgerow on this device",
        )
    return {
        wire.read_text(name, "issuer"): tuple(
            _read_key(each) for each in wire.read_list(keys, "keys")
        )
        for name, keys in issuers.items()
    }


def _read_key(value: Value) -> Key:
    """Read one key."""
    if not isinstance(value, dict):
        raise ObjectError("jwks: a key is not a map")
    return {wire.read_text(k, "key"): wire.read_text(v, "key") for k, v in value.items()}


def _fits(key: Mapping[str, object], algs: Sequence[str]) -> bool:
    """Say whether a key can verify tokens by one of the algorithms."""
    if key.get("use", "sig") != "sig":
        return False
    alg = key.get("alg")
    if alg is not None:
        return alg in algs
    return key.get("kty") in {_KEY_TYPES[each] for each in algs}


def _key(key: Mapping[str, object]) -> Key:
    """Take the public members of a key."""
    if not _PRIVATE.isdisjoint(key):
        raise ValueError("it holds a private or a shared key; publish public keys only")
    public = {name: value for name, value in key.items() if name in _PUBLIC}
    texts = {name: value for name, value in public.items() if isinstance(value, str)}
    needed = _NEEDED.get(texts.get("kty", ""), ("kty",))
    if len(texts) < len(public) or not all(texts.get(name) for name in needed):
        raise ValueError(f"a key in it has no text for each of {', '.join(needed)}")
    if sum(map(len, texts.values())) > KEY_BYTES_MAX:
        raise ValueError(f"a key in it is longer than {KEY_BYTES_MAX} bytes")
    return texts


def _no_doubles(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Refuse a table that names a member twice: readers differ in which of the two they take."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice in a table")
    return table


def _is_web_address(text: str) -> bool:
    """Say whether a text is an https address, or an http one of this machine."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    if not is_claim_text(text) or not host or "?" in text or "#" in text or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    """Say whether a host is this machine, where nobody else can stand in between."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
