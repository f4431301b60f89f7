"""`hedgerow policy import-tailscale`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from node.cli.main import cli
from policy.importers.tailscale import convert

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in a folder that holds a policy file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acl.hujson").write_bytes((DATA / "acl.hujson").read_bytes())
    return tmp_path


def run(*arguments: str) -> Result:
    """Run the verb."""
    return CliRunner().invoke(cli, ["policy", "import-tailscale", *arguments])


def test_the_document_is_printed() -> None:
    """Without --out the document goes to stdout, and what is left out to stderr, with its line."""
    done = run("acl.hujson", "--mesh", "acme")
    assert done.exit_code == 0
    assert done.stdout == (DATA / "acl.toml").read_text()
    *listed, summary = done.stderr.splitlines()
    assert 'acl.hujson:24: acl 3 src "*": ' in done.stderr
    assert all(line.startswith("acl.hujson:") for line in listed)
    assert summary.startswith("acl.hujson: 19 constructs not imported")


def test_the_document_is_written_once(folder: Path) -> None:
    """With --out it goes to a file, which is never overwritten, and passes the check."""
    done = run("acl.hujson", "--mesh", "acme", "--out", "acme.toml")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (folder / "acme.toml").read_text() == (DATA / "acl.toml").read_text()
    assert CliRunner().invoke(cli, ["policy", "check", "acme.toml"]).exit_code == 0
    again = run("acl.hujson", "--out", "acme.toml")
    assert again.exit_code == 1
    assert "nothing is ever overwritten here" in again.stderr


def test_json_has_everything(folder: Path) -> None:
    """With --json the document, what is left out and the notes are one object."""
    done = run("acl.hujson", "--json", "--out", "mesh.toml")
    assert done.exit_code == 0
    value = json.loads(done.stdout)
    imported = convert((DATA / "acl.hujson").read_text(), "acl.hujson", mesh="mesh")
    assert value["toml"] == imported.toml == (folder / "mesh.toml").read_text()
    for key, findings in (("not_imported", imported.not_imported), ("notes", imported.notes)):
        assert value[key] == [
            {"line": each.line, "what": each.what, "why": each.why} for each in findings
        ]
    assert set(value) == {"toml", "not_imported", "notes"}


def test_a_mistake_is_told_with_its_place(folder: Path) -> None:
    """A file that is not HuJSON ends with 1, and nothing is written."""
    (folder / "bad.hujson").write_text('{\n  "acls": [}\n}')
    done = run("bad.hujson", "--out", "bad.toml")
    assert done.exit_code == 1
    assert done.stderr.startswith('hedgerow: bad.hujson:2:12: "}" where a value is expected\n  ')
    assert not (folder / "bad.toml").exists()


def test_a_file_that_is_no_text(folder: Path) -> None:
    """Bytes that are not UTF-8 are no policy file, and one that is not there is told too."""
    (folder / "bad.hujson").write_bytes(b"\xff\xfe{}")
    done = run("bad.hujson")
    assert done.exit_code == 1
    assert "bad.hujson is not a Tailscale policy file: it is not UTF-8 text" in done.stderr
    assert run("missing.hujson").exit_code == 1


def test_a_mesh_that_can_not_be() -> None:
    """A name that no mesh can have is a usage error."""
    done = run("acl.hujson", "--mesh", "No Mesh")
    assert done.exit_code == 2
    assert "'No Mesh' is no mesh; it is called 1 to 63 of a-z, 0-9 and '-'." in done.stderr
