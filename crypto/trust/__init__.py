"""What may replace what: the verified state of one mesh. Pure; time is an argument.

Every object passes four steps, in this order: decode, verify, check, apply. Only the last changes
anything, so whatever is refused leaves the state as it was and able to be brought forward later.
The state follows from the set of admitted objects, the directory and the time, never from the
order of arrival; what rests on another object says so (`UnknownParentError`) and is offered again.

**Roots** (`roots`). N+1 exactly after N, signed by the thresholds of both and linked by hash; mesh
id and mesh name are fixed. A role is a threshold of distinct keys. Expiry is only reported.

**Heads** (`heads`). Signed by the policy role of the root that is their epoch. Ordered by (epoch,
version): lower is refused, equal with another hash is equivocation, and the lower hash wins on
every node. Expired ones and ones from the future are refused. Parts are reachable only through a
head, by hash and length; their versions never fall within an epoch.

**Tickets and devices** (`checks`). A ticket is signed by the registrar role of a root of the
chain. A device is signed by registrars, or by a ticket's key *and its own*: whoever holds an
invite can bring a machine in, but cannot bind keys of his own to another machine's id. It has the
tags, owner, name and addresses that its ticket gives. The newest object of one enrolment replaces
older ones.

**Enrolment** (`enrolment`). A device of a ticket needs a sponsor who is in, and not through that
ticket. Of more devices than a ticket has uses the earliest sponsored are in; a device that was
once in keeps its use even when it is revoked. A directory settles devices by id: they stay in
whatever becomes of their ticket, and a closed ticket enrols nobody else. When registrars lose
their say (a root drops them, or they are revoked) what members had sponsored by then stays in,
because a member saw it in time; what they approved alone does not, because nobody did: have
others sign it first.

**Revocations** (`revocations`). By the revoker role of any root of the chain, or by a device about
itself. They only grow. Revoking a ticket, registrar or sponsor ends what it vouches for from the
revocation's own time on; a revoker who dates it back cuts what came in since then, too.

**In force** (`standing`). Enrolled, not revoked (nor its owner), within its validity by the
careful end of the clock, within the pool, and not losing its address or authoritative name to a
better one.

All memory is bounded (`records.Limits`).
"""

from crypto.trust.records import (
    Admitted,
    Alarm,
    Limits,
    MissingPart,
    ReadyBundle,
    Restored,
    Statement,
)
from crypto.trust.state import Freshness, Trust

__all__ = [
    "Admitted",
    "Alarm",
    "Freshness",
    "Limits",
    "MissingPart",
    "ReadyBundle",
    "Restored",
    "Statement",
    "Trust",
]
