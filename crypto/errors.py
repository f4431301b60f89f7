"""Who is to blame: the error tree of the whole project.

The first cut is the blame. `LocalError` is ours: misuse, a bug, a broken machine; it is reported
loudly. `PeerError` is about something that came from elsewhere; the receiver counts it, drops the
object and goes on. Whatever a `PeerError` rejects leaves the receiver's state unchanged.

A message says what is wrong, with which object, and what was expected; `remedy` says what to do.
"""


class HedgerowError(Exception):
    """Base of every error Hedgerow raises on purpose. Nobody raises it itself.

    Attributes:
        message: One sentence without a full stop: what, which object, what was expected.
        remedy: What a person can do about it, or an empty string.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class LocalError(HedgerowError):
    """Something on this machine is wrong: a caller's misuse, a bug, a broken file or tool."""


class PeerError(HedgerowError):
    """Something received is not acceptable. State unchanged."""


class PassphraseError(LocalError):
    """A sealed secret does not open: a wrong passphrase or a damaged file. State unchanged."""


class InviteError(PeerError):
    """A pasted invite, request or approval is not usable. State unchanged."""


class CodecError(PeerError):
    """Bytes are not in the strict CBOR profile. State unchanged."""


class ObjectError(PeerError):
    """An object's content breaks its rules, whoever signed it. State unchanged."""


class TrustError(PeerError):
    """A well-formed object is not to be trusted, now or ever. State unchanged."""


class SignatureError(TrustError):
    """A signature is missing, wrong, repeated, or by a key nobody named. State unchanged."""


class ThresholdError(TrustError):
    """Too few of the role's distinct keys have signed. State unchanged."""


class RollbackError(TrustError):
    """The object is older than what is already trusted. State unchanged."""


class ExpiredError(TrustError):
    """The object's time is over, or has not come. State unchanged."""


class RevokedError(TrustError):
    """The object, or a key it rests on, is revoked. State unchanged."""


class ConstraintError(TrustError):
    """The object claims more than its ticket or signer may give. State unchanged."""


class WrongMeshError(TrustError):
    """The object belongs to another mesh. State unchanged."""


class UnknownParentError(TrustError):
    """The object rests on another one that is not known yet. State unchanged.

    It may become acceptable once that other object has arrived.

    Attributes:
        parent_kind: What is missing: an object type's name, such as "ticket".
        parent_id: Which one: its object id or public key.
    """

    def __init__(self, parent_kind: str, parent_id: bytes) -> None:
        super().__init__(
            f"the {parent_kind} {parent_id.hex()[:16]} it rests on is not known here",
            remedy="wait until it has arrived, or send it first",
        )
        self.parent_kind = parent_kind
        self.parent_id = parent_id


class EquivocationError(TrustError):
    """Two validly signed objects contradict each other. State unchanged."""
