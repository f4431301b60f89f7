"""Alarms by code, and logs for people or programs."""

import json

import pytest

from crypto.errors import LocalError
from node import alarms, log
from node.alarms import Alarms


def test_an_alarm_stands_once_and_ends() -> None:
    """Saying it again changes nothing; a new text replaces the old one."""
    standing = Alarms()
    standing.stand("a", "one")
    standing.stand("a", "one")
    standing.stand("b", "two")
    standing.stand("a", "three")
    assert list(standing) == [("b", "two"), ("a", "three")]
    standing.clear("a")
    standing.clear("a")
    standing.set("b", "two", stands=False)
    standing.set("c", "four", stands=True)
    assert list(standing) == [("c", "four")]


def test_an_error_stands_with_its_remedy() -> None:
    """What to do is part of the alarm."""
    standing = Alarms()
    standing.stand_error("a", LocalError("it broke", remedy="mend it"))
    standing.stand_error("b", LocalError("it broke"))
    assert dict(standing) == {"a": "it broke (mend it)", "b": "it broke"}


def test_alarms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond ALARMS_MAX the oldest goes."""
    monkeypatch.setattr(alarms, "ALARMS_MAX", 3)
    standing = Alarms()
    for number in range(5):
        standing.stand(str(number), "x")
    assert [code for code, _ in standing] == ["2", "3", "4"]


def test_logs_are_json_lines_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    """One object a line on stderr, an exception included; debug only when asked for."""
    import structlog

    try:
        log.configure(json=True)
        logger = log.get("test")
        logger.debug("hidden")
        try:
            int("x")
        except ValueError:
            logger.exception("failed", who="me")
        log.configure(debug=True)
        log.get("test").debug("shown")
    finally:
        structlog.reset_defaults()
    lines = capfd.readouterr().err.splitlines()
    first = json.loads(lines[0])
    assert (first["event"], first["area"], first["who"]) == ("failed", "test", "me")
    assert first["exception"][0]["exc_type"] == "ValueError"
    assert "shown" in lines[1]
