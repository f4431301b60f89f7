"""`hedgerow policy`: checked, compiled, tested and explained without a key."""

from __future__ import annotations

import csv
import io
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.commands import POLICY, Run, snapshot

TEN_MISTAKES = """\
schema = 1
mesh = "acme"

[users.alice]
colour = "red"
[groups]
dba = ["alica"]
[devices.db1]
tags = ["no tag"]
[resources.db]
hots = "db1"
[[rule]]
id = "one"
from = ["group:dbas"]
to = ["resource:dd"]
allow = ["tpc/22"]
[[rule]]
id = "one"
from = ["alice"]
to = ["device:db1"]
allow = ["tcp/99999"]
[[test]]
from = { user = "bob" }
to = "db1:tcp/22"
expect = "maybe"
"""


def test_right_policy_is_counted(run: Run, policy: Path) -> None:
    """A document without mistakes says what it holds and ends with 0."""
    done = run("policy", "check", policy)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{policy}: 1 rule, 0 blocks, 2 tests; no mistakes\n"


def test_all_mistakes_come_at_once(run: Run, tmp_path: Path) -> None:
    """Ten mistakes are ten lines with file and line, then their number and what to do."""
    (tmp_path / "bad.toml").write_text(TEN_MISTAKES)
    done = run("policy", "check", "bad.toml")
    assert done.code == 1
    *problems, summary, remedy = done.err.splitlines()
    assert len(problems) >= 10
    assert all(line.startswith("bad.toml:") for line in problems)
    numbers = [int(line.split(":")[1]) for line in problems]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 8
    assert summary == f"hedgerow: bad.toml has {len(problems)} mistakes"
    assert remedy == "  put them right, then run the same command again"
    assert done.out == ""


def test_mistakes_as_json(run: Run, tmp_path: Path) -> None:
    """With --json each mistake has file, line and message, and the exit code stays 1."""
    (tmp_path / "bad.toml").write_text(TEN_MISTAKES)
    done = run("policy", "check", "bad.toml", "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert {"file", "line", "message"} == set(done.json["mistakes"][0])


def test_warnings_do_not_fail_unless_asked(run: Run, tmp_path: Path) -> None:
    """An untested rule is a warning on stderr: exit code 0, and 1 with --strict."""
    document, _, _ = POLICY.partition("[[test]]")
    (tmp_path / "untested.toml").write_text(document)
    done = run("policy", "check", "untested.toml")
    assert done.code == 0
    assert done.err.startswith("warning: untested.toml:")
    strict = run("policy", "check", "untested.toml", "--strict")
    assert strict.code == 1
    assert "hedgerow: untested.toml has 1 warning" in strict.err


def test_unused_names_are_warned_of(run: Run, tmp_path: Path) -> None:
    """What is declared and not used is a warning with its line."""
    (tmp_path / "idle.toml").write_text(POLICY.replace("[groups]", "[groups]\nidle = []"))
    done = run("policy", "check", "idle.toml")
    assert done.code == 0
    assert done.err == ("warning: idle.toml:8: nothing uses group:idle; remove it, or name it\n")


def test_compiled_parts_are_named_by_hash(run: Run, policy: Path, tmp_path: Path) -> None:
    """`compile` writes both parts, prints their hashes, and does the same every time."""
    first = run("policy", "compile", policy, "--out", "parts")
    assert first.code == 0
    for line in first.out.splitlines():
        digest, name = line.split()
        assert sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    again = run("policy", "compile", policy, "--out", "again", "--json").json
    assert {part["hash"] for part in again["parts"].values()} == {
        line.split()[0] for line in first.out.splitlines()
    }
    assert again["source"] == sha256(policy.read_bytes()).hexdigest()


def test_passing_tests(run: Run, policy: Path) -> None:
    """`test` says how many tests passed."""
    assert run("policy", "test", policy).out == f"{policy}: all 2 tests pass\n"
    assert run("policy", "test", policy, "--json").json == {
        "ok": True, "tests": 2, "failures": [],
    }  # fmt: skip


def test_failing_test_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    """A test that fails is shown with file, line, what was expected and what came."""
    text = POLICY.replace('{ user = "bob" }', '{ user = "alice" }')
    (tmp_path / "wrong.toml").write_text(text)
    done = run("policy", "test", "wrong.toml")
    line = text[: text.rindex("[[test]]")].count("\n") + 1
    assert done.code == 1
    assert done.err.startswith(f"wrong.toml:{line}: user:alice to resource:db on tcp/5432")
    assert "hedgerow: 1 of the 2 tests in wrong.toml fail" in done.err
    as_json = run("policy", "test", "wrong.toml", "--json")
    assert as_json.code == 1
    assert as_json.json["failures"][0]["line"] == line


def test_matrix_as_table(run: Run, policy: Path) -> None:
    """The table has a row for who may reach something, and names the ports."""
    done = run("policy", "matrix", policy)
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["user:alice", "tcp/5432"] in rows
    assert ["group:dba", "tcp/5432"] in rows
    assert "user:bob" not in done.out


def test_matrix_as_csv(run: Run, policy: Path) -> None:
    """CSV has a header and a row for each grant."""
    rows = list(csv.DictReader(io.StringIO(run("policy", "matrix", policy, "--csv").out)))
    assert {"from": "user:alice", "to": "resource:db", "ports": "tcp/5432", "allow": "yes",
            "rule": "dba-postgres", "reason": "allowed", "conditions": "", "until": "",
            } in rows  # fmt: skip


def test_matrix_as_json(run: Run, policy: Path) -> None:
    """JSON lists rows, columns and cells."""
    value = run("policy", "matrix", policy, "--json").json
    assert set(value) == {"rows", "columns", "cells"}
    assert value["columns"] == ["resource:db"]


def test_blocked_cell_names_the_block(run: Run, tmp_path: Path) -> None:
    """A block shows in table and CSV instead of the ports it cuts off."""
    text = POLICY.replace("[[rule]]", '[[block]]\nid = "gone"\nwho = ["user:alice"]\n[[rule]]')
    (tmp_path / "b.toml").write_text(text)
    assert "blocked by gone" in run("policy", "matrix", "b.toml").out
    rows = csv.DictReader(io.StringIO(run("policy", "matrix", "b.toml", "--csv").out))
    alice = next(row for row in rows if row["from"] == "user:alice")
    assert (alice["allow"], alice["rule"], alice["reason"]) == ("no", "gone", "block")


def test_empty_matrix_says_so(run: Run, tmp_path: Path) -> None:
    """A policy without rules lets nobody reach anything, in words."""
    (tmp_path / "none.toml").write_text('schema = 1\nmesh = "acme"\n')
    assert run("policy", "matrix", "none.toml").out == "Nobody may reach anything.\n"


def test_why_allow(run: Run, policy: Path) -> None:
    """An allowed flow names its rule and ends with 0."""
    done = run("policy", "why", policy, "alice", "db:tcp/5432")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["alice", "to", "db:tcp/5432:", "allow"]
    assert "dba-postgres" in done.out


def test_why_deny_as_json(run: Run, policy: Path) -> None:
    """A denied flow ends with 1 and says what would help, under stable keys."""
    done = run("policy", "why", policy, "user:bob", "resource:db:tcp/5432", "--json")
    assert done.code == 1
    assert set(done.json) == {
        "decision", "rule", "reason", "condition", "remedy", "valid_until",
    }  # fmt: skip
    assert (done.json["decision"], done.json["reason"]) == ("deny", "no-rule")
    assert done.json["remedy"]


def test_why_deny_in_words(run: Run, policy: Path) -> None:
    """For people, a denial says what was not met and what would help."""
    done = run("policy", "why", policy, "bob", "db:tcp/5432")
    assert done.code == 1
    names = [line.partition(":")[0] for line in done.out.splitlines()]
    assert names == ["bob to db", "reason", "not met", "remedy"]


def test_why_says_until_when(run: Run, tmp_path: Path) -> None:
    """An allowed flow that will end says when, and the matrix shows a rule that has not begun."""
    text = POLICY.replace(
        'allow = ["tcp/5432"]',
        'allow = ["tcp/5432"]\nnot_before = 2030-01-01T00:00:00Z\n'
        "not_after = 2030-02-01T00:00:00Z",
    )
    (tmp_path / "w.toml").write_text(text)
    done = run("policy", "why", "w.toml", "alice", "db:tcp/5432", "--at", "2030-01-05T00:00:00Z")
    assert "until:                2030-02-01T00:00:00Z" in done.out
    early = run("policy", "matrix", "w.toml", "--at", "2029-01-05").out
    assert "not-yet" in early
    wrong = run("policy", "matrix", "w.toml", "--at", "tomorrow")
    assert wrong.code == 2
    assert "'tomorrow' is not a time" in wrong.err


def test_why_at_an_instant(run: Run, tmp_path: Path) -> None:
    """--at judges a rule with a beginning and an end before, within and after it."""
    text = POLICY.replace(
        'allow = ["tcp/5432"]',
        'allow = ["tcp/5432"]\nnot_before = 2030-01-01T00:00:00Z\n'
        "not_after = 2030-02-01T00:00:00Z",
    )
    (tmp_path / "w.toml").write_text(text)
    ask = ("policy", "why", "w.toml", "alice", "db:tcp/5432", "--json", "--at")
    before, within, after = (
        run(*ask, f"{day}T00:00:00Z").json for day in ("2029-12-31", "2030-01-05", "2030-02-02")
    )
    assert (before["decision"], before["reason"]) == ("deny", "not-yet")
    assert (within["decision"], within["valid_until"]) == ("allow", "2030-02-01T00:00:00Z")
    assert (after["decision"], after["reason"]) == ("deny", "expired")


def test_why_unknown_name(run: Run, policy: Path) -> None:
    """A name that means nothing is an error with a remedy, not a denial."""
    done = run("policy", "why", policy, "mallory", "db:tcp/5432")
    assert done.code == 1
    assert done.err.splitlines() == [
        'hedgerow: there is no device or user called "mallory"',
        "  `hedgerow policy matrix` lists the names",
    ]


@pytest.mark.parametrize(
    "flow", ["db", "tcp/22", "db:", ":tcp/22", "db:tcp", "db:tcp/1-2", "db:x"]
)
def test_malformed_flow_is_a_usage_error(run: Run, policy: Path, flow: str) -> None:
    """What is not one destination and one port ends with 2."""
    assert run("policy", "why", policy, "alice", flow).code == 2


def test_missing_and_foreign_files(run: Run, tmp_path: Path) -> None:
    """A file that is missing, not text, or not a bundle is called so."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.hgb").write_bytes(b"not a bundle")
    missing = run("policy", "check", "nowhere.toml")
    binary = run("policy", "check", "binary.toml")
    broken = run("policy", "test", "broken.hgb")
    assert [each.code for each in (missing, binary, broken)] == [1, 1, 1]
    assert "cannot read nowhere.toml: no such file or directory" in missing.err
    assert "binary.toml is not a policy document: it is not UTF-8 text" in binary.err
    assert "broken.hgb is not a bundle with a policy, or it is damaged" in broken.err


def test_json_and_csv_exclude_each_other(run: Run, policy: Path) -> None:
    """Asking for two formats at once is a usage error."""
    assert run("policy", "matrix", policy, "--csv", "--json").code == 2


def test_nothing_but_compile_writes(run: Run, policy: Path, tmp_path: Path) -> None:
    """check, test, matrix and why leave the folder as it was."""
    before = snapshot(tmp_path)
    for verb in (("check",), ("test",), ("matrix",)):
        run("policy", *verb, policy)
    run("policy", "why", policy, "alice", "db:tcp/5432")
    assert snapshot(tmp_path) == before
