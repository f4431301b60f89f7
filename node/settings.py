"""The settings of one node: a small TOML file that need not exist.

port = 41641                 # the UDP port that the outside sees; random if not given
clock_skew_seconds = 0.5     # how far this machine's clock may honestly be off
socket_group = "hedgerow"    # the group that may give commands besides root
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crypto.errors import LocalError
from node.admin import files
from node.clock import SKEW_SECONDS


class SettingsError(LocalError):
    """The settings file is not valid; the message lists every mistake. State unchanged."""


class Settings(BaseModel):
    """What an operator may set.

    Attributes:
        port: the UDP port that the outside sees, or None for a random one, chosen once.
        clock_skew_seconds: how far this machine's clock may honestly be off, either way.
        socket_group: the group that may give commands besides root, or None for root alone.
        firewall_table: the nftables table that is this node's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    port: int | None = Field(default=None, ge=1, le=65535)
    clock_skew_seconds: float = Field(default=SKEW_SECONDS, ge=0.0, le=120.0)
    socket_group: str | None = Field(default=None, min_length=1)
    firewall_table: str = Field(default="hedgerow", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")


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
        return Settings.model_validate(tomllib.loads(files.read(path).decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not TOML: {error}", remedy="correct it; docs/operators.md has examples"
        ) from error
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()
        )
        raise SettingsError(
            f"{path} holds what it may not: {mistakes}",
            remedy="correct these lines; docs/operators.md lists what may be set",
        ) from error
