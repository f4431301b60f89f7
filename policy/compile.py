"""From the document to the two parts whose hashes are signed.

What a document means decides the bytes, and nothing else: not the order of keys, rules or lists,
not the names of services that only stand for ports, not the version, which the head carries, and
not the text itself, whose hash is given beside the parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crypto.objects import Directory
from policy.document import Document, DocumentError, Problem
from policy.issuers import encode_keys
from policy.limits import CALENDAR_SECONDS_MAX, NODE_ELEMENTS_MAX, PARTS_BYTES_MAX
from policy.lint import lint
from policy.model import Policy
from policy.weigh import heaviest
from policy.windows import union


@dataclass(frozen=True, slots=True)
class Compiled:
    """The parts of a bundle, and what the admin should know about them.

    Attributes:
        policy: The `policy` part; `Policy.decode` reads it.
        directory: The `directory` part; `Directory.from_payload` reads it.
        jwks: The `jwks` part, if there is any issuer; `policy.issuers.decode_keys` reads it.
        warnings: What the linter doubts, in the order of the document.
        test_lines: The line of each of `Policy.tests`.
        source_sha256: Of the document's text.
    """

    policy: bytes
    directory: bytes
    jwks: bytes | None
    warnings: tuple[Problem, ...]
    test_lines: tuple[int, ...]
    source_sha256: bytes

    @property
    def parts(self) -> Mapping[str, bytes]:
        """The parts by the names that the head gives them."""
        parts = {"policy": self.policy, "directory": self.directory}
        return parts if self.jwks is None else parts | {"jwks": self.jwks}


def compile_document(
    document: Document,
    *,
    closed_tickets: Iterable[bytes] = (),
    horizon: tuple[int, int] | None = None,
) -> Compiled:
    """Make the `policy` and `directory` parts of a document, and `jwks` if it has issuers.

    Args:
        horizon: The stretch of time for which windows are worked out, Unix seconds. It should
            reach a week beyond the head's expiry; `Policy.calendar` holds it, so that a cosigner
            can compile the document again.
        closed_tickets: Ids of tickets that enrol nobody any more; they stand in the directory.

    Raises:
        DocumentError: What came out is larger than a node is asked to carry.
    """
    test_lines = dict(reversed(document.tests))
    directory = _directory(document, closed_tickets)
    policy = _policy(document, _calendar(document, horizon))
    encoded = policy.encode()
    payload = directory.to_payload()
    jwks = encode_keys(document.keys) if document.issuers else None
    _check_size(document, len(encoded) + len(payload) + len(jwks or b""))
    _check_weight(document, policy, directory)
    return Compiled(
        policy=encoded,
        directory=payload,
        jwks=jwks,
        warnings=tuple(sorted(lint(document, policy, directory))),
        test_lines=tuple(test_lines[test] for test in Policy.decode(encoded).tests),
        source_sha256=document.source_sha256,
    )


def _calendar(document: Document, horizon: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
    """Say for when windows are worked out: the horizon, and the instants of tests."""
    if not document.windows:
        return ()
    if horizon is None or not 0 < horizon[1] - horizon[0] <= CALENDAR_SECONDS_MAX:
        days = CALENDAR_SECONDS_MAX // 86_400
        message = f"the document has windows: compile it for a time of at most {days} days"
        raise DocumentError([Problem(document.file, 1, message)])
    instants = [test.at for test, _ in document.tests if test.at is not None]
    return union([horizon, *((instant, instant + 1) for instant in instants)])


def _policy(document: Document, calendar: tuple[tuple[int, int], ...]) -> Policy:
    """Take what nodes need to decide."""
    return Policy(
        mesh=document.mesh,
        rules=document.rules,
        blocks=document.blocks,
        resources=document.resources,
        services=document.services,
        tests=tuple(dict.fromkeys(test for test, _ in document.tests)),
        defaults=document.defaults,
        issuers=document.issuers,
        claims=document.claims,
        sites=document.sites,
        postures=document.postures,
        windows={name: window.intervals(calendar) for name, window in document.windows.items()},
        calendar=calendar,
        places=document.places,
    )


def _directory(document: Document, closed_tickets: Iterable[bytes]) -> Directory:
    """Take what nodes need to know who is who."""
    return Directory(
        users=document.users,
        groups=document.groups,
        tags=document.tags,
        devices=document.devices,
        closed_tickets=tuple(sorted(set(closed_tickets))),
    )


def _check_size(document: Document, size: int) -> None:
    """Refuse parts that are too large for a bundle."""
    if size > PARTS_BYTES_MAX:
        message = f"policy and directory have {size} bytes; a bundle has at most {PARTS_BYTES_MAX}"
        raise DocumentError([Problem(document.file, 1, message)])


def _check_weight(document: Document, policy: Policy, directory: Directory) -> None:
    """Refuse what would fill the kernel of a node."""
    found = heaviest(policy, directory)
    if found is not None and found.elements > NODE_ELEMENTS_MAX:
        message = (
            f"device {found.device} would need {found.elements} firewall elements, most of them "
            f'for rule "{found.rule}"; a node holds at most {NODE_ELEMENTS_MAX}: '
            "name fewer sources, or fewer port ranges"
        )
        raise DocumentError([Problem(document.file, document.lines[found.rule], message)])
