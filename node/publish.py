"""Take in what an admin hands to a node: a bundle file, or one signed object."""

from dataclasses import dataclass
from typing import Protocol

from crypto.bundle import Bundle
from crypto.errors import HedgerowError, ObjectError
from crypto.signing import ObjectType, decode
from crypto.trust import Trust


class Publisher(Protocol):
    """What is needed of the gossip core."""

    def publish(self, now: float, raw: bytes) -> None:
        """Admit a signed object and pass it on."""

    def publish_part(self, now: float, data: bytes) -> bool:
        """Take a part that a head names."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """One object that was taken in.

    Attributes:
        type: what it is.
        id: its object id.
        fresh: whether it was news to this node.
    """

    type: ObjectType
    id: bytes
    fresh: bool


def publish(core: Publisher, trust: Trust, data: bytes, now: float) -> tuple[Published, ...]:
    """Take in a bundle or one object, and pass on what is new.

    Raises:
        HedgerowError: it is neither, or it does not hold. What stood before it in a bundle, its
            roots, may have been taken in: each of them holds by itself.
    """
    try:
        bundle = Bundle.decode(data)
    except HedgerowError as error:
        return (_one(core, trust, data, now, not_a_bundle=error),)
    published = [_one(core, trust, raw, now) for raw in (*bundle.roots, bundle.head)]
    for part in bundle.parts.values():
        core.publish_part(now, part)
    return tuple(published)


def _one(
    core: Publisher,
    trust: Trust,
    raw: bytes,
    now: float,
    *,
    not_a_bundle: HedgerowError | None = None,
) -> Published:
    try:
        envelope = decode(raw)
    except HedgerowError as error:
        raise ObjectError(
            f"this is neither a bundle ({not_a_bundle}) nor a signed object ({error})",
            remedy="name a file that `hedgerow admin` wrote",
        ) from error
    fresh = trust.raw(envelope.id) is None
    core.publish(now, raw)
    return Published(envelope.type, envelope.id, fresh)
