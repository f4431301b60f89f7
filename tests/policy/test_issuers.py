"""Issuers and their keys: what is taken, and what is refused before anybody signs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crypto import codec
from crypto.errors import ObjectError
from policy.issuers import Claim, Issuer, decode_keys, encode_keys, parse_keys
from policy.limits import ISSUER_KEYS_MAX
from tests.policy.build import JWKS, OKTA

RSA = {"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}
EC = {"kty": "EC", "kid": "b", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"}


def keys(*found: Any, algs: tuple[str, ...] = ("RS256",)) -> Any:  # noqa: ANN401 - JSON
    """Read a set of keys."""
    return parse_keys(json.dumps({"keys": found}).encode(), algs)


def test_keys_are_taken_by_algorithm_and_use() -> None:
    """Keys for other algorithms or uses are left out, and other members dropped."""
    assert keys({**RSA, "x5t": "no"}, EC, {**RSA, "kid": "c", "use": "enc"}) == (RSA,)
    assert keys(EC, RSA, algs=("ES256",)) == (EC,)
    assert keys(RSA, EC, algs=("ES256", "RS256")) == keys(EC, RSA, algs=("ES256", "RS256"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", 'it has no list "keys"'),
        (b'{"keys": [1]}', 'it has no list "keys"'),
        (b'{"keys": [], "keys": []}', "a name stands twice"),
        (b'{"keys": []}', "it has 0 keys for RS256; an issuer has 1 to 16"),
        (json.dumps({"keys": [RSA, RSA]}).encode(), "the same kid"),
        (json.dumps({"keys": [RSA | {"d": "AA"}]}).encode(), "holds a private or a shared key"),
        (json.dumps({"keys": [RSA | {"n": 5}]}).encode(), "no text for each of n, e"),
        (json.dumps({"keys": [{"kty": "RSA", "n": "AA"}]}).encode(), "no text for each of n, e"),
        (json.dumps({"keys": [RSA | {"n": "A" * 5_000}]}).encode(), "longer than 4096 bytes"),
    ],
)
def test_a_set_of_keys_is_refused(data: bytes, words: str) -> None:
    """Broken JSON, doubles, nothing usable, secrets and giants are told."""
    with pytest.raises(ValueError, match=words):
        parse_keys(data, ("RS256",))


def test_an_issuer_has_so_many_keys() -> None:
    """Sixteen are taken, and not one more."""
    many = [RSA | {"kid": str(number)} for number in range(ISSUER_KEYS_MAX)]
    assert len(keys(*many)) == ISSUER_KEYS_MAX
    with pytest.raises(ValueError, match="it has 17 keys"):
        keys(*many, RSA)


def test_the_part_of_keys_reads_back() -> None:
    """What is decoded is what was encoded."""
    found = {"okta": parse_keys(JWKS, ("RS256",)), "entra": keys(EC, algs=("ES256",))}
    assert decode_keys(encode_keys(found)) == found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({0: 2, 1: {}}, "a format this version does not know"),
        ({0: 1, 1: []}, "a format this version does not know"),
        ({0: 1, 1: {}, 2: 0}, "field 2, which this version does not know"),
        ({0: 1, 1: {"okta": 1}}, "keys is not an array"),
        ({0: 1, 1: {"okta": [1]}}, "a key is not a map"),
        ({0: 1, 1: {"okta": [{"kty": 1}]}}, "key is not a text"),
    ],
)
def test_a_strange_part_of_keys_is_refused(value: Any, words: str) -> None:  # noqa: ANN401 - CBOR
    """Other formats, unknown fields and wrong types are refused (T72)."""
    with pytest.raises(ObjectError, match=words):
        decode_keys(codec.dumps(value))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iss": "http://acme.okta.com"}, "is not an https address"),
        ({"iss": "https://acme.okta.com?x=1"}, "is not an https address"),
        ({"iss": "https://u@acme.okta.com"}, "is not an https address"),
        ({"iss": "https://"}, "is not an https address"),
        ({"iss": "https://[::1"}, "is not an https address"),
        ({"client_id": "a b"}, "printable characters without spaces"),
        ({"algs": ()}, "its algorithms must be some of ES256, EdDSA, PS256, RS256"),
        ({"algs": ("HS256",)}, "its algorithms must be some of"),
        ({"algs": ("RS256", "ES256")}, "sorted"),
        ({"witnesses": ("A",), "need": 1}, "names of devices"),
        ({"witnesses": ("a",), "need": 0}, "needs 0 of 1 witnesses"),
        ({"witnesses": ("a",), "need": 2}, "needs 2 of 1 witnesses"),
        ({"need": 1}, "needs 1 of 0 witnesses"),
    ],
)
def test_an_issuer_is_refused(changes: dict[str, Any], words: str) -> None:
    """Who could be overheard, nothing symmetric, and witnesses that can not agree."""
    with pytest.raises(ValueError, match=words):
        Issuer(**{"iss": "https://acme.okta.com", "client_id": "0oa1"} | changes)


@pytest.mark.parametrize("iss", ["http://127.0.0.1:9000", "http://localhost/op", "http://[::1]:1"])
def test_an_issuer_on_this_machine_needs_no_tls(iss: str) -> None:
    """Nobody can stand between."""
    assert Issuer(iss, "0oa1").iss == iss


def test_several_factors_are_a_method_or_a_class() -> None:
    """Either is enough, and neither is not."""
    assert OKTA.proves_several_factors(frozenset({"pwd", "hwk"}), None)
    assert OKTA.proves_several_factors(frozenset(), "strong")
    assert not OKTA.proves_several_factors(frozenset({"pwd"}), "weak")


@pytest.mark.parametrize(("issuer", "value"), [("Okta", "a"), ("okta", ""), ("okta", "a\n")])
def test_a_claim_is_refused(issuer: str, value: str) -> None:
    """An issuer has a name, and a value is printable."""
    with pytest.raises(ValueError, match="can not be a claim"):
        Claim(issuer, value)
