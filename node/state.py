"""What a node remembers: one SQLite file that is whole after a crash at any point.

Objects are kept as they were received and verified again whenever they are loaded, so the file
needs no trust of its own: whoever changes it can make the node forget, never believe. Each write
is one transaction, flushed before it is acted on (WAL with synchronous=FULL).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from crypto.errors import LocalError
from crypto.invite import Bootstrap
from node.admin import files

SCHEMA_VERSION = 1
# How many members' records are kept to find the mesh again: the latest heard of.
MEMBERS_MAX = 512
# The gossip core refuses records that were booted further in the future than this.
BOOT_AHEAD_MILLISECONDS = 300_000

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE objects (
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, type TEXT NOT NULL, raw BLOB NOT NULL
) STRICT;
CREATE TABLE parts (hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    device_id BLOB PRIMARY KEY, gossip_public BLOB NOT NULL, host TEXT NOT NULL,
    port INTEGER NOT NULL, heard REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


class StateError(LocalError):
    """The state file cannot be read or written. What was in it before is still in it."""


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the state file {path} cannot be {verb}: {error}",
            remedy="check that the disk is not full and the file is yours; if it is damaged, "
            "restore the folder from a backup or join again",
        ) from error


class Store:
    """The state file of one node.

    Args:
        path: the file. It is created, empty, where it is not there.

    Raises:
        StateError: it cannot be opened, is not ours, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _explained(path, "opened"):
            self._db = sqlite3.connect(path, isolation_level=None)
            try:
                path.chmod(files.SECRET_MODE)
                self._open()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        """Use the file for the length of a block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise StateError(
                f"the state file {self._path} has format {version}, and this version of Hedgerow "
                f"knows format {SCHEMA_VERSION}",
                remedy="run the version of Hedgerow that wrote it, or a newer one",
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes of the block one: after a crash all of them are there, or none.

        Raises:
            StateError: it could not be written; nothing of the block was.
        """
        with _explained(self._path, "written"):
            nested = self._db.in_transaction
            if nested:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled it back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def get(self, key: str) -> bytes | None:
        """Return a value by its name."""
        with _explained(self._path, "read"):
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def put(self, key: str, value: bytes) -> None:
        """Keep a value under a name."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def get_number(self, key: str, default: int = 0) -> int:
        """Return a whole number by its name."""
        value = self.get(key)
        return default if value is None else int.from_bytes(value, "big", signed=True)

    def put_number(self, key: str, value: int) -> None:
        """Keep a whole number under a name."""
        self.put(key, value.to_bytes(8, "big", signed=True))

    def add_objects(self, objects: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Keep signed objects: type, id, bytes as received.

        The id is that of the payload. Another copy of one, signed by others, takes the place of
        the one before: it was admitted because its signers count and the others' do not any more.
        """
        with self.transaction():
            self._db.executemany(
                "INSERT INTO objects (type, id, raw) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET raw = excluded.raw WHERE raw <> excluded.raw",
                objects,
            )

    def objects(self) -> tuple[tuple[str, bytes, bytes], ...]:
        """Return all objects, (type, id, bytes), in the order in which they came."""
        with _explained(self._path, "read"):
            rows = self._db.execute("SELECT type, id, raw FROM objects ORDER BY seq").fetchall()
        return tuple((str(kind), bytes(key), bytes(raw)) for kind, key, raw in rows)

    def drop_objects(self, ids: Iterable[bytes]) -> None:
        """Forget objects that another has replaced."""
        with self.transaction():
            self._db.executemany("DELETE FROM objects WHERE id = ?", ((key,) for key in ids))

    def add_part(self, digest: bytes, data: bytes) -> None:
        """Keep one part of a bundle by its hash."""
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO parts VALUES (?, ?)", (digest, data))

    def parts(self) -> Mapping[bytes, bytes]:
        """Return all parts by hash."""
        with _explained(self._path, "read"):
            rows = self._db.execute("SELECT hash, data FROM parts").fetchall()
        return {bytes(digest): bytes(data) for digest, data in rows}

    def keep_parts(self, digests: Iterable[bytes]) -> None:
        """Forget all parts but these."""
        kept = set(digests)
        gone = [(digest,) for digest in self.parts() if digest not in kept]
        with self.transaction():
            self._db.executemany("DELETE FROM parts WHERE hash = ?", gone)

    def remember_member(self, member: Bootstrap, *, heard: float) -> None:
        """Keep where a member was last reached, and forget the oldest beyond the bound."""
        row = (member.device_id, member.gossip_public, member.host, member.port, heard)
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", row)
            self._db.execute(
                "DELETE FROM members WHERE device_id IN (SELECT device_id FROM members"
                " ORDER BY heard DESC, device_id LIMIT -1 OFFSET ?)",
                (MEMBERS_MAX,),
            )

    def members(self) -> tuple[Bootstrap, ...]:
        """Return where members were last reached, the latest first."""
        with _explained(self._path, "read"):
            rows = self._db.execute(
                "SELECT device_id, gossip_public, host, port FROM members"
                " ORDER BY heard DESC, device_id"
            ).fetchall()
        return tuple(
            Bootstrap(
                host=str(host),
                port=int(port),
                device_id=bytes(device_id),
                gossip_public=bytes(gossip_public),
            )
            for device_id, gossip_public, host, port in rows
        )

    def next_boot(self, wall_milliseconds: int) -> int:
        """Return this start's number: the wall clock, and above that of the last start.

        A record of ours must replace those of our earlier lives even when the clock went back a
        little. A last start far in the future had a wrong clock, and nobody believed its records:
        to go on from there would keep us out for as long.
        """
        last = self.get_number("boot_ms")
        is_plausible = last <= wall_milliseconds + BOOT_AHEAD_MILLISECONDS
        boot = max(wall_milliseconds, last + 1) if is_plausible else wall_milliseconds
        self.put_number("boot_ms", boot)
        return boot

    def close(self) -> None:
        """Close the file."""
        self._db.close()
