"""The verbs of a node: what they print, and how they end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from crypto.errors import LocalError
from node import enrol, paths
from node.api.client import Client, DeniedError, NotRunningError
from node.cli.lazy import Lazy, LazyGroup
from node.cli.main import COMMANDS, cli
from tests.forge import DAY, Mesh
from tests.node.rig import invite

STATUS = {
    "mesh": "acme",
    "self": {"name": "db1", "id": "ab" * 32, "overlay4": "100.64.0.1", "overlay6": "fd00::1"},
    "bundle": {"epoch": 1, "version": 7, "age_seconds": 7_300, "state": "fresh"},
    "wireguard": {"backend": "kernel", "port": 41641},
    "peers": [
        {
            "name": "laptop",
            "id": "cd" * 32,
            "state": "alive",
            "path": "direct",
            "endpoint": "203.0.113.5:4000",
            "rtt_ms": 1.25,
        }
    ],
    "alarms": [{"code": "alone", "text": "nobody answers"}],
    "bootstrap": ["192.0.2.1:1=aa:bb"],
    "gossip": {"datagrams_sent": 5},
    "faults": {},
}


class Daemon:
    """A daemon that answers what a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Any] = {"/v1/status": STATUS}
        self.asked: list[tuple[str, object]] = []

    def answer(self, target: str, body: object = None) -> dict[str, Any]:
        """Answer a call."""
        self.asked.append((target, body))
        reply = self.replies[target.partition("?")[0]]
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, dict)
        return reply


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon behind every socket."""
    made = Daemon()
    monkeypatch.setattr(Client, "get", lambda _, target: made.answer(target))
    monkeypatch.setattr(Client, "post", lambda _, target, body: made.answer(target, body))
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder for a node."""
    return tmp_path / "node"


def run(*arguments: str | Path) -> Result:
    """Run the command line."""
    return CliRunner().invoke(cli, [str(each) for each in arguments], prog_name="hedgerow")


def test_status_json_has_the_keys_that_programs_rely_on(daemon: Daemon, state: Path) -> None:
    """The keys and their order stay; what else the daemon says is left out."""
    done = run("--state", state, "status", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert list(said) == ["mesh", "self", "bundle", "wireguard", "peers", "alarms", "bootstrap"]
    assert said["peers"] == STATUS["peers"]


def test_status_for_people(daemon: Daemon, state: Path) -> None:
    """One screen: who, which bundle, which port, what is wrong, and the peers."""
    done = run("status", "--state", state)
    assert done.exit_code == 0
    for words in (
        "acme",
        "100.64.0.1, fd00::1",
        "1.7, fresh, 2 hours old",
        "kernel, UDP port 41641",
        "alone: nobody answers",
        "laptop",
        "203.0.113.5:4000",
        "1.2 ms",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("age", "says"), [(5, "5 seconds old"), (200, "3 minutes old"), (200_000, "2 days old")]
)
def test_the_age_of_a_bundle_is_said_in_one_unit(
    daemon: Daemon, state: Path, age: int, says: str
) -> None:
    """The largest unit of which there are two."""
    bundle = {"epoch": 1, "version": 7, "age_seconds": age, "state": "stale"}
    daemon.replies["/v1/status"] = {**STATUS, "bundle": bundle}
    assert f"1.7, stale, {says}" in run("--state", state, "status").stdout


def test_a_node_without_bundle_and_peers(daemon: Daemon, state: Path) -> None:
    """Nothing allowed is said in words."""
    bundle = {"epoch": None, "version": None, "age_seconds": None, "state": "none"}
    daemon.replies["/v1/status"] = {**STATUS, "bundle": bundle, "peers": []}
    done = run("--state", state, "status")
    assert "none yet: nothing is allowed" in done.stdout
    assert "no peers" in done.stdout


def test_peers(daemon: Daemon, state: Path) -> None:
    """As a table and as JSON."""
    daemon.replies["/v1/peers"] = {"peers": STATUS["peers"]}
    assert "laptop" in run("--state", state, "peers").stdout
    said = json.loads(run("--state", state, "peers", "--json").stdout)
    assert said == {"peers": STATUS["peers"]}


def test_ping_that_is_answered(daemon: Daemon, state: Path) -> None:
    """Time and path, exit code 0."""
    daemon.replies["/v1/ping"] = {"name": "db1", "id": "ab", "path": "192.0.2.1:5", "rtt_ms": 0.8}
    done = run("--state", state, "ping", "db1")
    assert (done.exit_code, done.stdout) == (0, "db1 answered in 0.8 ms from 192.0.2.1:5\n")
    assert daemon.asked == [("/v1/ping", {"name": "db1"})]
    assert json.loads(run("--state", state, "ping", "db1", "--json").stdout)["rtt_ms"] == 0.8


def test_ping_that_is_not_answered(daemon: Daemon, state: Path) -> None:
    """Exit code 1, and the word on stderr."""
    daemon.replies["/v1/ping"] = {"name": "db1", "id": "ab", "path": None, "rtt_ms": None}
    done = run("--state", state, "ping", "db1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "did not answer" in done.stderr


ALLOWED = {
    "decision": "allow",
    "rule": "ssh",
    "reason": "allowed",
    "valid_until": 1_800_000_000.0,
    "condition": "",
    "remedy": "",
}
DENIED = {
    "decision": "deny",
    "rule": None,
    "reason": "no-rule",
    "valid_until": None,
    "condition": "a rule grants it",
    "remedy": "ask an admin",
}


def test_why_allowed(daemon: Daemon, state: Path) -> None:
    """The rule and its end; JSON has exactly four keys."""
    daemon.replies["/v1/why"] = ALLOWED
    done = run("--state", state, "why", "laptop", "tag:prod:tcp/22")
    assert done.exit_code == 0
    assert done.stdout == "allow by ssh: allowed, until 2027-01-15T08:00:00Z\n"
    assert daemon.asked[0][0] == "/v1/why?source=laptop&destination=tag%3Aprod&service=tcp%2F22"
    said = json.loads(run("--state", state, "why", "laptop", "db1:tcp/22", "--json").stdout)
    assert list(said) == ["decision", "rule", "reason", "valid_until"]


def test_why_denied(daemon: Daemon, state: Path) -> None:
    """Exit code 1, with the condition and the remedy."""
    daemon.replies["/v1/why"] = DENIED
    done = run("--state", state, "why", "laptop", "db1:tcp/23")
    assert done.exit_code == 1
    assert done.stdout == "deny: no-rule\n  not so: a rule grants it\n  ask an admin\n"


@pytest.mark.parametrize("target", ["db1", ":tcp/22", "db1:"])
def test_why_about_nothing_is_a_usage_error(daemon: Daemon, state: Path, target: str) -> None:
    """Exit code 2 shows how to write it."""
    done = run("--state", state, "why", "laptop", target)
    assert done.exit_code == 2
    assert "db1:tcp/22" in done.stderr


def test_publish(daemon: Daemon, state: Path, tmp_path: Path) -> None:
    """Each file is handed over, and what became of it is said."""
    file = tmp_path / "b.hgb"
    file.write_bytes(b"\x01\x02")
    daemon.replies["/v1/publish"] = {
        "admitted": [
            {"type": "root", "id": "aa" * 32, "fresh": False},
            {"type": "head", "id": "bb" * 32, "fresh": True},
        ]
    }
    done = run("--state", state, "publish", file)
    assert done.stdout.splitlines() == [
        f"root {'aa' * 8}: known already",
        f"head {'bb' * 8}: published",
    ]
    assert daemon.asked == [("/v1/publish", b"\x01\x02")]
    assert "admitted" in json.loads(run("--state", state, "publish", file, "--json").stdout)


def test_down(daemon: Daemon, state: Path) -> None:
    """The daemon leaves and removes; exit code 0."""
    daemon.replies["/v1/down"] = {"left": True}
    done = run("--state", state, "down")
    assert done.exit_code == 0
    assert "interface and rules are removed" in done.stderr


def test_an_error_is_one_sentence_and_a_remedy_on_stderr(daemon: Daemon, state: Path) -> None:
    """Exit code 1, nothing on stdout."""
    daemon.replies["/v1/status"] = NotRunningError("no daemon is running", remedy="start it")
    done = run("--state", state, "status", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "hedgerow: no daemon is running\n  start it\n"
    daemon.replies["/v1/status"] = DeniedError("no")
    assert run("--state", state, "status").stderr == "hedgerow: no\n"


def test_a_wrong_command_line_is_exit_code_2(state: Path) -> None:
    """As everywhere."""
    assert run("no-such-verb").exit_code == 2
    assert run("up", "--port", "0").exit_code == 2
    assert run("--state", state, "join").exit_code == 2
    assert run("--state", state, "join", "x", "--request").exit_code == 2


@pytest.fixture
def mesh() -> Mesh:
    """A mesh whose tickets are good now."""
    from node.clock import Clock

    return Mesh(now=int(Clock().wall()) - 60)


def test_join_with_an_invite(state: Path, mesh: Mesh) -> None:
    """Joined, and what to do next; a second time changes nothing."""
    text = invite(mesh, mesh.ticket(name="db1", uses=1)).encode()
    done = run("--state", state, "join", text)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("db1 joined hedge as 100.")
    assert f"hedgerow up --state {state}" in done.stderr
    again = run("join", "--state", state, text)
    assert again.stdout.startswith("db1 is already in hedge")


def test_join_reads_an_invite_from_a_file_and_from_stdin(tmp_path: Path, mesh: Mesh) -> None:
    """An invite is a secret, so it need not stand in the list of processes."""
    text = invite(mesh, mesh.ticket()).encode()
    file = tmp_path / "invite"
    file.write_text(text + "\n")
    assert run("--state", tmp_path / "a", "join", file, "--name", "a").exit_code == 0
    piped = CliRunner().invoke(
        cli, ["--state", str(tmp_path / "b"), "join", "-", "--name", "b"], input=text
    )
    assert piped.exit_code == 0, piped.stderr


def test_join_in_the_default_place(
    tmp_path: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --state the folder is named after the mesh, and the later verbs find it."""
    monkeypatch.setattr(paths, "STATE_ROOT", tmp_path)
    done = run("join", invite(mesh, mesh.ticket()).encode(), "--name", "x")
    assert done.exit_code == 0, done.stderr
    assert paths.locate(None).state == tmp_path / "hedge"


def test_a_name_is_taken_from_the_machine(
    state: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither invite nor option says one, the host's name, made fit."""
    monkeypatch.setattr("socket.gethostname", lambda: "Alice's_MacBook.local")
    done = run("--state", state, "join", invite(mesh, mesh.ticket()).encode())
    assert done.stdout.startswith("alice-s-macbook joined")


def test_join_with_an_expired_invite_writes_nothing(state: Path, mesh: Mesh) -> None:
    """Exit code 1, its own words, and no folder."""
    old = Mesh(now=mesh.now - 9 * DAY)
    done = run("--state", state, "join", invite(old, old.ticket()).encode(), "--name", "x")
    assert done.exit_code == 1
    assert "this invite ended at" in done.stderr
    assert not state.exists()


def test_join_with_nonsense_writes_nothing(state: Path) -> None:
    """Exit code 1 and no folder."""
    done = run("--state", state, "join", "hello")
    assert done.exit_code == 1
    assert "invite" in done.stderr
    assert not state.exists()


def test_join_by_request(state: Path) -> None:
    """The request is the only thing on stdout, so it can be piped."""
    done = run("--state", state, "join", "--request", "--name", "db1")
    assert done.exit_code == 0
    assert done.stdout.startswith("hgq1")
    assert len(done.stdout.splitlines()) == 1


def test_a_failed_join_names_what_failed(
    state: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk reaches the person as a sentence."""

    def full(*arguments: object, **options: object) -> None:
        raise LocalError("the disk is full", remedy="free some space")

    monkeypatch.setattr(enrol, "join", full)
    done = run("--state", state, "join", invite(mesh, mesh.ticket()).encode())
    assert done.stderr == "hedgerow: the disk is full\n  free some space\n"


def test_up_before_a_join_says_so(state: Path) -> None:
    """The remedy is to join."""
    state.mkdir()
    done = run("--state", state, "up")
    assert done.exit_code == 1
    assert "is not in a mesh" in done.stderr or "configure the network" in done.stderr


def test_up_in_the_background_hands_on_the_daemons_last_words(state: Path) -> None:
    """The error of the child is the error of the command."""
    state.mkdir()
    done = run("--state", state, "up", "--background")
    assert done.exit_code == 1
    assert "is not in a mesh" in done.stderr or "configure the network" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_background_log_that_cannot_be_written_is_named(state: Path) -> None:
    """A folder that is not there is said before anything starts."""
    done = run("--state", state, "up", "--background")
    assert done.exit_code == 1
    assert "daemon.log cannot be written" in done.stderr


def test_help_lists_the_verbs_without_importing_them() -> None:
    """Start-up time: help knows its lines by heart."""
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from node.cli.main import cli\n"
        "done = CliRunner().invoke(cli, ['--help'])\n"
        "assert done.exit_code == 0\n"
        "heavy = ('aiohttp', 'asyncio', 'pydantic', 'structlog', 'pyroute2', 'nacl', 'cbor2')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('node.cli.node')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize("verb", ["status", "peers", "ping", "why", "publish", "down"])
def test_talking_verbs_bring_in_no_daemon(verb: str) -> None:
    """Start-up time: a verb that asks the daemon needs the standard library and click."""
    program = (
        "import sys\n"
        f"import node.cli.node.{verb}\n"
        "heavy = ('aiohttp', 'asyncio', 'pydantic', 'structlog', 'pyroute2', 'rich')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_verb_is_there_and_has_help(name: str) -> None:
    """What help lists can be called."""
    done = run(name, "--help")
    assert done.exit_code == 0
    assert f"Usage: hedgerow {name}" in done.stdout


def test_a_lazy_group_reports_its_own_errors_and_takes_plain_commands() -> None:
    """A group is of use by itself, as the admin's is, and a wrong target is our fault."""

    @click.command()
    def fail() -> None:
        """Fail."""
        raise LocalError("it failed", remedy="try again")

    group = LazyGroup(
        "g", lazy={"status": "node.cli.node.status:status", "bad": Lazy("node.paths:Paths", "x")}
    )
    group.add_command(fail)
    done = CliRunner().invoke(group, ["fail"])
    assert (done.exit_code, done.stderr) == (1, "hedgerow: it failed\n  try again\n")
    assert isinstance(CliRunner().invoke(group, ["bad"]).exception, TypeError)
    plain = LazyGroup("g", lazy={"status": "node.cli.node.status:status"})
    assert "Show this node" in CliRunner().invoke(plain, ["--help"]).stdout
