"""Running commands and looking at what they did: for the tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.identity import DeviceKeys
from crypto.invite import Request

PASSPHRASE = "correct horse battery"

POLICY = """\
schema = 1
mesh = "acme"

[users.alice]
[users.bob]

[groups]
dba = ["alice"]

[devices.db1]
[devices.laptop]
owner = "alice"

[resources.db]
host = "db1"

[[rule]]
id = "dba-postgres"
from = ["group:dba"]
to = ["resource:db"]
allow = ["tcp/5432"]

[[test]]
from = { group = "dba" }
to = "db:tcp/5432"
expect = "allow"

[[test]]
from = { user = "bob" }
to = "db:tcp/5432"
expect = "deny"
"""


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        """What it printed, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


def snapshot(folder: Path) -> Mapping[str, tuple[int, bytes]]:
    """Return every file of a folder with its mode and content, to compare before and after."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    } | {
        f"{path.relative_to(folder)}/": (path.stat().st_mode, b"")
        for path in sorted(folder.rglob("*"))
        if path.is_dir()
    }


def request(name: str, number: int = 1) -> tuple[DeviceKeys, str]:
    """Return the keys of a device and the request it would print."""
    keys = DeviceKeys.generate(lambda count: bytes([number]) * count)
    return keys, Request.create(keys, name).encode()


def found(run: Run, passphrase: Path, *options: object) -> Outcome:
    """Found the mesh acme in the folder acme, with three keys of which two must sign."""
    done = run("admin", "init", "acme", "--dir", "acme", "--passphrase-file", passphrase, *options)
    assert done.code == 0, done.err
    return done


def approve(run: Run, passphrase: Path, name: str, number: int = 1, *options: object) -> Outcome:
    """Approve a device of this name in the folder acme."""
    _, text = request(name, number)
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    done = run("admin", "approve", text, *common, *options)
    assert done.code == 0, done.err
    return done


def sign(
    run: Run, passphrase: Path, policy: Path, *numbers: int, more: tuple[object, ...] = ()
) -> Outcome:
    """Sign a policy with the keys of these numbers in the folder acme."""
    keys = [text for n in numbers for text in ("--key", f"acme/keys/{n}.key")]
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    return run("admin", "sign", policy, *keys, *common, *more)
