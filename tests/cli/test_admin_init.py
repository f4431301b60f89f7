"""`hedgerow admin init` and `keygen`: a mesh begins, and its secrets stay where they are."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from crypto.trust import Trust
from node.admin import keyfile, keytext
from tests.cli.commands import PASSPHRASE, Run, found, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")


def test_founded_mesh_is_signed_by_its_own_keys(
    run: Run, passphrase: Path, tmp_path: Path
) -> None:
    """The root in the new folder begins a mesh whose id is the one printed."""
    done = found(run, passphrase, "--json")
    trust = Trust((tmp_path / "acme/roots/1.root").read_bytes())
    assert trust.mesh_id.hex() == done.json["mesh_id"]
    assert trust.mesh_name == "acme"
    assert {name: (role.threshold, len(role.keys)) for name, role in trust.root.roles.items()} == {
        "root": (2, 3), "policy": (2, 3), "registrar": (1, 3), "revoker": (1, 3),
    }  # fmt: skip
    assert done.json["complete"] is True


def test_folder_and_keys_are_private(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """Folders are 0700 and key files 0600."""
    found(run, passphrase)
    folder = tmp_path / "acme"
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    keys = sorted((folder / "keys").iterdir())
    assert [path.name for path in keys] == ["1.key", "2.key", "3.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_next_steps_are_told(run: Run, passphrase: Path) -> None:
    """For people, init prints the mesh's id and what to do next."""
    done = found(run, passphrase)
    assert done.out.startswith("mesh:    acme ")
    assert "hedgerow admin approve --dir acme REQUEST" in done.out
    assert "Give each file in acme/keys to its holder" in done.out


def test_existing_folder_is_left_alone(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """A second init on a folder fails before anyone is asked anything, and changes nothing."""
    found(run, passphrase)
    before = snapshot(tmp_path)
    done = run("admin", "init", "acme", "--dir", "acme", "--passphrase-file", passphrase)
    assert done.code == 1
    assert done.err.splitlines() == [
        "hedgerow: acme exists and is not an empty folder",
        "  nothing is ever overwritten here: name a new folder with --dir",
    ]
    assert snapshot(tmp_path) == before


def test_empty_folder_is_used(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """An empty folder that is there already becomes the admin folder."""
    (tmp_path / "acme").mkdir()
    found(run, passphrase)
    assert (tmp_path / "acme/roots/1.root").is_file()


def test_unwritable_place_is_named(
    run: Run, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing may be written, init says where, and leaves nothing behind."""

    def refuse(*arguments: object, **named: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    before = snapshot(tmp_path)
    done = run("admin", "init", "acme", "--dir", "acme", "--passphrase-file", passphrase)
    assert done.code == 1
    assert done.err.startswith("hedgerow: cannot make acme: permission denied\n  check who owns")
    assert snapshot(tmp_path) == before


def test_file_in_the_way_is_named(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """A file where the folder should be is refused and kept."""
    (tmp_path / "acme").write_text("mine")
    done = run("admin", "init", "acme", "--dir", "acme", "--passphrase-file", passphrase)
    assert done.code == 2
    assert "Directory 'acme' is a file" in done.err
    below = run("admin", "init", "acme", "--dir", "acme/x", "--passphrase-file", passphrase)
    assert below.code == 1
    assert (tmp_path / "acme").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--threshold", "4"), 1, "threshold 4 of 3 keys"),
        (("--threshold", "0"), 1, "threshold 0 of 3 keys"),
        (("--keys", "0"), 2, "--keys is 1 to 32"),
        (("--keys", "33"), 2, "--keys is 1 to 32"),
        (("--pool", "100.64.0.1/10"), 2, "is not an IPv4 address or network"),
        (("--pool", "224.0.0.0/8"), 1, "no address of a single machine"),
        (("--lifetime", "soon"), 2, "is not a span of time"),
        (("--holder", "ed25519:12"), 1, "is not a public key"),
        (("--registrar", "nobody"), 1, "is not a public key"),
    ],
)
def test_impossible_mesh_is_refused(
    run: Run, passphrase: Path, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    """Each option that cannot be is named, and no folder is made."""
    before = snapshot(tmp_path)
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    done = run("admin", "init", "acme", *common, *options)
    assert (done.code, said in done.err) == (code, True), done.err
    assert snapshot(tmp_path) == before


def test_mesh_name_is_checked(run: Run, passphrase: Path) -> None:
    """A mesh is called by one label of a domain name."""
    done = run("admin", "init", "Acme Inc", "--dir", "a", "--passphrase-file", passphrase)
    assert done.code == 1
    assert "root: mesh name 'Acme Inc' is no valid name" in done.err


def test_each_key_may_have_its_own_passphrase(run: Run, tmp_path: Path) -> None:
    """Three passphrase files serve three keys in order; two for three are a usage error."""
    files = []
    for number in (1, 2, 3):
        path = tmp_path / f"pass-{number}"
        path.write_text(f"passphrase number {number}\nsecond line\n")
        files += ["--passphrase-file", path]
    assert run("admin", "init", "acme", "--dir", "acme", *files[:4]).code == 2
    assert run("admin", "init", "acme", "--dir", "acme", *files).code == 0
    for number in (1, 2, 3):
        loaded = keyfile.load(tmp_path / f"acme/keys/{number}.key")
        key = keyfile.unlock(loaded, f"passphrase number {number}")
        assert key.public == loaded.public


def test_passphrases_are_asked_for_twice(run: Run, tmp_path: Path) -> None:
    """Without a file each passphrase is typed and repeated, and none of it is shown."""
    typed = "".join(
        f"{word}\n{word}\n" for word in ("first secret", "second secret", "third one!")
    )
    done = run("admin", "init", "acme", "--dir", "acme", typed=typed)
    assert done.code == 0, done.err
    assert "secret" not in done.out + done.err
    loaded = keyfile.load(tmp_path / "acme/keys/2.key")
    assert keyfile.unlock(loaded, "second secret").public == loaded.public


def test_nobody_at_the_keyboard(run: Run, tmp_path: Path) -> None:
    """When nothing can be typed, the error says how else to give a passphrase."""
    done = run("admin", "init", "acme", "--dir", "acme", typed="")
    assert done.code == 1
    assert "hedgerow: no passphrase was given for 1.key" in done.err
    assert "HEDGEROW_PASSPHRASE_FILE" in done.err
    assert snapshot(tmp_path) == {}


def test_passphrase_file_from_the_environment(
    run: Run, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEDGEROW_PASSPHRASE_FILE names a file when the command line does not."""
    monkeypatch.setenv("HEDGEROW_PASSPHRASE_FILE", str(passphrase))
    assert run("admin", "init", "acme", "--dir", "acme").code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"short\n", "the passphrase is shorter than 8 characters"),
        (b"", "the first line of weak is empty"),
        (b"\nsecond\n", "the first line of weak is empty"),
        (b"\xff\xfe\n", "weak is not text"),
    ],
)
def test_useless_passphrase_is_refused(
    run: Run, tmp_path: Path, content: bytes, said: str
) -> None:
    """A passphrase that protects nothing is refused, and no folder is made."""
    (tmp_path / "weak").write_bytes(content)
    done = run("admin", "init", "acme", "--dir", "acme", "--passphrase-file", "weak")
    assert (done.code, said in done.err) == (1, True), done.err
    assert not (tmp_path / "acme").exists()


def test_no_option_takes_a_secret(run: Run) -> None:
    """No command has an option for a passphrase or a key itself: arguments stand in `ps`."""
    for verb in ("init", "keygen", "invite", "approve", "revoke", "sign"):
        text = run("admin", verb, "--help").out
        assert "--passphrase-file" in text
        assert "--passphrase " not in text
        assert "--seed" not in text


def test_secrets_are_never_printed(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """Neither the passphrase nor any seed is in what init, show and keygen print (T71)."""
    said = found(run, passphrase)
    shown = run("admin", "show", "--dir", "acme", "--json")
    made = run("admin", "keygen", "--out", "own.key", "--passphrase-file", passphrase)
    paths = [*(tmp_path / "acme/keys").iterdir(), tmp_path / "own.key"]
    seeds = [keyfile.unlock(keyfile.load(path), PASSPHRASE).seed for path in paths]
    printed = "".join(each.out + each.err for each in (said, shown, made))
    stored = b"".join(content for _, content in snapshot(tmp_path / "acme").values())
    assert PASSPHRASE not in printed
    for seed in seeds:
        assert seed.hex() not in printed
        assert seed not in stored


def test_keygen_prints_the_public_half(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """A holder's key file is private, and its public half is all that is printed."""
    done = run("admin", "keygen", "--out", "own.key", "--passphrase-file", passphrase)
    path = tmp_path / "own.key"
    assert done.out == f"{keytext.format_key(keyfile.load(path).public)}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = run("admin", "keygen", "--out", "own.key", "--passphrase-file", passphrase)
    assert again.code == 1
    assert "cannot write own.key: file exists" in again.err


@pytest.fixture
def holders(run: Run, passphrase: Path) -> list[str]:
    """The public keys of three holders with key files a.key, b.key and c.key."""
    return [
        run("admin", "keygen", "--out", f"{name}.key", "--passphrase-file", passphrase).out.strip()
        for name in "abc"
    ]


def test_holders_found_a_mesh_together(
    run: Run, passphrase: Path, tmp_path: Path, holders: list[str]
) -> None:
    """With one key at hand the root waits for the second holder, and is then in force."""
    options = [text for key in holders for text in ("--holder", key)]
    common = ("--passphrase-file", passphrase)
    done = run("admin", "init", "acme", "--dir", "acme", *options, "--key", "a.key", *common)
    assert done.code == 0, done.err
    assert "Have other holders sign" in done.out
    waiting = run("admin", "show", "--dir", "acme")
    assert waiting.code == 1
    assert "the root of this mesh lacks signatures: acme/roots/1.partial" in waiting.err
    added = run("admin", "sign", "--add", "acme/roots/1.partial", "--key", "b.key", *common)
    assert added.code == 0, added.err
    assert added.out == "acme/roots/1.root: signed by 2 of the 2 needed\n"
    assert all(key in added.err for key in holders), "the holder sees what is signed"
    assert sorted(path.name for path in (tmp_path / "acme/roots").iterdir()) == ["1.root"]
    assert run("admin", "show", "--dir", "acme", "--json").json["thresholds"]["root"] == 2


def test_one_holder_counts_once(run: Run, passphrase: Path, holders: list[str]) -> None:
    """The same key cannot sign a root twice, and a stranger's cannot sign it at all."""
    options = [text for key in holders[:2] for text in ("--holder", key)]
    common = ("--passphrase-file", passphrase)
    run("admin", "init", "acme", "--dir", "acme", *options, "--key", "a.key", *common)
    twice = run("admin", "sign", "--add", "acme/roots/1.partial", "--key", "a.key", *common)
    stranger = run("admin", "sign", "--add", "acme/roots/1.partial", "--key", "c.key", *common)
    both = run("admin", "init", "b", "--dir", "b", "--key", "a.key", "--key", "a.key", *common)
    assert "this key has signed this root already" in twice.err
    assert "this key does not hold the root role in this root" in stranger.err
    assert "one key is given twice" in both.err
    assert [each.code for each in (twice, stranger, both)] == [1, 1, 1]


def test_no_key_at_hand(run: Run, holders: list[str]) -> None:
    """A root that nobody signs is not written."""
    done = run(
        "admin", "init", "acme", "--dir", "acme", "--holder", holders[0], "--holder", holders[1]
    )
    assert done.code == 1
    assert "none of the keys given holds the root role" in done.err


def test_registrar_of_its_own(
    run: Run, passphrase: Path, tmp_path: Path, holders: list[str]
) -> None:
    """--registrar and --revoker take these roles from the holders."""
    found(run, passphrase, "--registrar", holders[0], "--revoker", holders[1])
    trust = Trust((tmp_path / "acme/roots/1.root").read_bytes())
    assert trust.root.roles["registrar"].keys == (keytext.parse_key(holders[0]),)
    assert trust.root.roles["revoker"].keys == (keytext.parse_key(holders[1]),)
    assert len(trust.root.roles["policy"].keys) == 3
