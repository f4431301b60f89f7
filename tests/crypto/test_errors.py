"""The error tree: the first cut is who is to blame."""

from __future__ import annotations

import inspect

import pytest

from crypto import errors
from crypto.errors import HedgerowError, LocalError, PeerError, TrustError, UnknownParentError

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, HedgerowError)
]


def test_an_error_keeps_message_and_remedy() -> None:
    """What is printed is the message; the remedy stands beside it."""
    error = LocalError("the file is gone", remedy="bring it back")
    assert (str(error), error.message, error.remedy) == (
        "the file is gone",
        "the file is gone",
        "bring it back",
    )


def test_a_remedy_may_be_left_out() -> None:
    """An error without a remedy has an empty one."""
    assert PeerError("no").remedy == ""


@pytest.mark.parametrize("error", [c for c in CLASSES if c is not HedgerowError])
def test_every_error_blames_exactly_one_side(error: type[HedgerowError]) -> None:
    """Each error is either ours or the peer's, never both and never neither."""
    assert issubclass(error, LocalError) != issubclass(error, PeerError)


@pytest.mark.parametrize("error", [c for c in CLASSES if issubclass(c, PeerError)])
def test_every_peer_error_says_what_it_did_to_the_state(error: type[PeerError]) -> None:
    """The docstring of each error about received things states that nothing changed."""
    assert error.__doc__ is not None
    assert "State unchanged." in error.__doc__


def test_an_unknown_parent_names_what_to_wait_for() -> None:
    """The error carries kind and id of what is missing, and says both."""
    error = UnknownParentError("ticket", bytes(range(32)))
    assert (error.parent_kind, error.parent_id) == ("ticket", bytes(range(32)))
    assert str(error) == "the ticket 0001020304050607 it rests on is not known here"
    assert error.remedy
    assert isinstance(error, TrustError)
