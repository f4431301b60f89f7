"""The log: one line an event, and no secret in a traceback."""

import json
from collections.abc import Iterator

import pytest
import structlog

from node import log

SECRET = "a-private-key-in-a-local-variable"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def _fail() -> None:
    held = SECRET.upper()
    raise ValueError(len(held))


def _logged(*, as_json: bool, capsys: pytest.CaptureFixture[str]) -> str:
    log.configure(json=as_json)
    try:
        _fail()
    except ValueError:
        log.get("test").exception("it failed", count=2)
    return capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variable(
    *, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it failed and how is said; what the variables held, keys among them, is not."""
    text = _logged(as_json=as_json, capsys=capsys)
    assert "_fail" in text
    assert "ValueError" in text
    assert SECRET.upper() not in text


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A program can read it."""
    (line,) = _logged(as_json=True, capsys=capsys).splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["area"], entry["level"]) == ("it failed", "test", "error")
    assert entry["count"] == 2
