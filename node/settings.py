"""The settings of one node: a small TOML file that need not exist.

port = 41641                 # the UDP port that the outside sees; random if not given
clock_skew_seconds = 0.5     # how far this machine's clock may honestly be off
socket_group = "hedgerow"    # the group that may give commands besides root
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import LocalError
from node.admin import files
from node.clock import SKEW_SECONDS

PORT_MAX = 65_535
SKEW_SECONDS_MAX = 120.0
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class SettingsError(LocalError):
    """The settings file is not valid; the message lists every mistake. State unchanged."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set.

    Attributes:
        port: the UDP port that the outside sees, or None for a random one, chosen once.
        clock_skew_seconds: how far this machine's clock may honestly be off, either way.
        socket_group: the group that may give commands besides root, or None for root alone.
        firewall_table: the nftables table that is this node's own.
    """

    port: int | None = None
    clock_skew_seconds: float = SKEW_SECONDS
    socket_group: str | None = None
    firewall_table: str = "hedgerow"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about one run of the daemon.

    Attributes:
        port: overrides the settings' port.
        log_json: write the log as JSON.
        debug: write more of it.
    """

    port: int | None = None
    log_json: bool = False
    debug: bool = False


def load(path: Path) -> Settings:
    """Read the settings, or return the defaults where there is no file.

    Raises:
        SettingsError: the file is not TOML, or says something it may not.
    """
    if not path.exists():
        return Settings()
    try:
        found = tomllib.loads(files.read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not TOML: {error}", remedy="correct it; docs/operators.md has examples"
        ) from error
    mistakes = "; ".join(_mistakes(found))
    if mistakes:
        raise SettingsError(
            f"{path} holds what it may not: {mistakes}",
            remedy="correct these lines; docs/operators.md lists what may be set",
        )
    return Settings(**found)


def _mistakes(found: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong, in the order of the file."""
    for name, value in found.items():
        if name not in _RULES:
            yield f"{name}: there is no such setting"
            continue
        holds, text = _RULES[name]
        if not holds(value):
            yield f"{name}: it has to be {text}"


def _is_port(value: object) -> bool:
    # A boolean of TOML is no number, although Python's is.
    return isinstance(value, int) and value is not True and 1 <= value <= PORT_MAX


def _is_skew(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= SKEW_SECONDS_MAX


def _is_group(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_table(value: object) -> bool:
    return isinstance(value, str) and _TABLE.fullmatch(value) is not None


_RULES = {
    "port": (_is_port, f"a whole number from 1 to {PORT_MAX}"),
    "clock_skew_seconds": (_is_skew, f"a number from 0 to {SKEW_SECONDS_MAX:.0f}"),
    "socket_group": (_is_group, "the name of a group"),
    "firewall_table": (_is_table, "letters, digits and underscores, at most 64"),
}
