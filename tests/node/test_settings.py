"""The settings file: optional, strict, all mistakes at once."""

from pathlib import Path

import pytest

from node import settings
from node.settings import Settings, SettingsError


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    """A node needs no settings."""
    assert settings.load(tmp_path / "none.toml") == Settings()


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    """Every setting can be given."""
    path = tmp_path / "s.toml"
    path.write_text('port = 41641\nclock_skew_seconds = 0.5\nsocket_group = "wheel"\n')
    assert settings.load(path) == Settings(
        port=41641, clock_skew_seconds=0.5, socket_group="wheel"
    )


def test_every_mistake_is_listed(tmp_path: Path) -> None:
    """One run shows an operator all that is wrong."""
    path = tmp_path / "s.toml"
    path.write_text('port = 70000\ncolour = "red"\nclock_skew_seconds = "much"\n')
    with pytest.raises(SettingsError) as caught:
        settings.load(path)
    for name in ("port", "colour", "clock_skew_seconds", str(path)):
        assert name in str(caught.value)


def test_what_is_not_toml_is_said(tmp_path: Path) -> None:
    """The parser's own words, with the line, are in the message."""
    path = tmp_path / "s.toml"
    path.write_text("port = \n")
    with pytest.raises(SettingsError, match="line 1"):
        settings.load(path)


@pytest.mark.parametrize(
    "line",
    [
        "port = true",
        "port = 0",
        "port = 1.5",
        "clock_skew_seconds = true",
        "clock_skew_seconds = nan",
        "clock_skew_seconds = -1",
        'socket_group = ""',
        "socket_group = 7",
        'firewall_table = "a b"',
        'firewall_table = "9lives"',
    ],
)
def test_what_is_no_such_value_is_refused(line: str, tmp_path: Path) -> None:
    """Type and range of each setting are checked, and the message names it."""
    path = tmp_path / "s.toml"
    path.write_text(line + "\n")
    with pytest.raises(SettingsError, match=line.partition(" ")[0]):
        settings.load(path)
