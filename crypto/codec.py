"""The only CBOR Hedgerow speaks: one value, one encoding (RFC 8949 section 4.2.1, narrowed).

Definite lengths, shortest integers of at most 64 bits, byte and text strings, arrays, maps, true,
false and null. No floats, no tags, no other simple values, no bignums, no repeated keys, nothing
behind the value. The keys of one map are all unsigned integers or all text: for these the order
of RFC 8949 section 4.2.1 (bytewise) and the one cbor2 writes (shorter first) are the same.

`loads` trusts nothing: it caps size and depth, lets the decoder build only plain values, walks
them, and accepts only what encodes back to the very same bytes. So equal values have equal
hashes, and no two nodes can read one object in two ways.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, cast

import cbor2

from crypto.errors import CodecError, LocalError

Value: TypeAlias = (
    "bool | int | bytes | str | Sequence[Value] | Mapping[int, Value] | Mapping[str, Value] | None"
)
"""What the profile can say. `loads` builds arrays as lists and maps as dicts."""

MAX_BYTES: Final = 65_536
MAX_DEPTH: Final = 16
# What one machine word of a reader in any language holds, unsigned or signed.
MAX_INTEGER: Final = 2**64 - 1
MIN_INTEGER: Final = -(2**63)

# Every tag that cbor2 has a decoder of its own for; the test of this list asks cbor2. Left alone
# they build regular expressions, MIME messages, dates, fractions and cyclic lists.
BUILT_IN_TAGS: Final = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54),
    *(100, 256, 258, 260, 261, 1004, 43_000, 55_799),
)

_ATOMS: Final = frozenset({bytes, bool, type(None)})


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag")


_REFUSED_TAGS: Final = dict.fromkeys(BUILT_IN_TAGS, _refuse_tag)


class _ProfileError(Exception):
    """What is wrong with a value, and the way to it, innermost step first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []

    def __str__(self) -> str:
        return f"{self.reason} at ${''.join(reversed(self.steps))}"


def dumps(value: Value) -> bytes:
    """Return the one encoding of `value`.

    Raises:
        LocalError: If the profile has no way to say it; the message names the place.
    """
    try:
        _check(value, MAX_DEPTH)
    except _ProfileError as fault:
        raise LocalError(f"cannot encode {fault}") from None
    return _encode(value)


def loads(data: bytes, *, max_bytes: int = MAX_BYTES) -> Value:
    """Return the value that `data` is the one encoding of.

    Raises:
        CodecError: If `data` is too long, is not CBOR, or is outside the profile.
    """
    if len(data) > max_bytes:
        raise CodecError(f"CBOR of {len(data)} bytes is longer than the {max_bytes} allowed")
    value = _decode(data)
    try:
        _check(value, MAX_DEPTH)
    except _ProfileError as fault:
        raise CodecError(f"CBOR outside the profile: {fault}") from None
    encoded = _encode(value)
    if encoded != data:
        raise CodecError(_difference(data, encoded))
    return value


def _encode(value: Value) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _decode(data: bytes) -> Value:
    try:
        decoded = cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=_REFUSED_TAGS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    # A raising tag decoder and a hostile length may surface as another class than cbor2's own.
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise CodecError(f"not CBOR of this profile: {reason}") from None
    return cast("Value", decoded)


def _check(value: object, depth_left: int) -> None:
    """Raise a `_ProfileError` unless the profile has `value`.

    Types are compared exactly: a subclass may encode as something else.
    """
    kind = type(value)
    if kind is str:
        _check_text(cast("str", value))
    elif kind is int:
        _check_integer(cast("int", value))
    elif kind is list or kind is tuple:
        _check_array(cast("Sequence[object]", value), depth_left - 1)
    elif kind is dict:
        _check_map(cast("dict[object, object]", value), depth_left - 1)
    elif kind not in _ATOMS:
        raise _ProfileError(f"{kind.__name__} is no type of the profile")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _ProfileError("text with a lone surrogate") from None


def _check_integer(number: int) -> None:
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _ProfileError("an integer of more than 64 bits")


def _check_array(items: Sequence[object], depth_left: int) -> None:
    if depth_left < 0:
        raise _ProfileError(f"nesting deeper than {MAX_DEPTH}")
    index = 0
    try:
        for item in items:
            _check(item, depth_left)
            index += 1
    except _ProfileError as fault:
        fault.steps.append(f"[{index}]")
        raise


def _check_map(entries: dict[object, object], depth_left: int) -> None:
    if depth_left < 0:
        raise _ProfileError(f"nesting deeper than {MAX_DEPTH}")
    kinds = {type(key) for key in entries}
    if kinds - {int} and kinds - {str}:
        raise _ProfileError("a map whose keys are not all integers or all text")
    key: object = None
    try:
        for key, item in entries.items():
            _check_key(key)
            _check(item, depth_left)
    except _ProfileError as fault:
        fault.steps.append(f".{key!r:.40}")
        raise


def _check_key(key: object) -> None:
    _check(key, 0)
    if isinstance(key, int) and key < 0:
        raise _ProfileError("a negative map key")


def _difference(data: bytes, encoded: bytes) -> str:
    if data.startswith(encoded):
        extra = len(data) - len(encoded)
        return f"CBOR outside the profile: {extra} bytes behind the value"
    at = next(
        i for i, (ours, theirs) in enumerate(zip(encoded, data, strict=False)) if ours != theirs
    )
    return f"CBOR outside the profile: not the shortest form or not in order at byte {at}"
