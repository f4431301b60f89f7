"""`hedgerow admin sign`, `verify` and `publish`: k of n holders put a policy in force."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from crypto import signing
from crypto.bundle import Bundle
from crypto.clock import Interval
from crypto.objects import Head, PartRef
from crypto.signing import ObjectType
from crypto.trust import Trust
from node.admin import keyfile
from node.cli import clock
from policy.compile import compile_document
from policy.document import parse
from tests.cli import daemon
from tests.cli.commands import PASSPHRASE, POLICY, Outcome, Run, found, request, sign, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")

KEY_1, KEY_2, KEY_3 = (f"acme/keys/{n}.key" for n in (1, 2, 3))


@pytest.fixture
def mesh(run: Run, passphrase: Path, tmp_path: Path) -> Path:
    """The folder of a mesh that was just founded."""
    found(run, passphrase)
    return tmp_path / "acme"


@pytest.fixture
def add(run: Run, passphrase: Path) -> Run:
    """Add signatures to a bundle."""

    def call(bundle: object, *keys: str, more: tuple[object, ...] = ()) -> Outcome:
        named = [text for key in keys for text in ("--key", key)]
        common = ("--dir", "acme", "--passphrase-file", passphrase)
        return run("admin", "sign", "--add", bundle, *named, *common, *more)

    return call


def adopted(folder: Path, bundle: Path) -> Trust:
    """Return a node that knew only the first root and was handed a bundle."""
    trust = Trust((folder / "roots/1.root").read_bytes())
    found_bundle = Bundle.decode(bundle.read_bytes())
    for raw in (*found_bundle.roots, found_bundle.head):
        trust.admit(raw, clock.now())
    for part in found_bundle.parts.values():
        trust.admit_part(part)
    ready = trust.ready()
    assert ready is not None
    trust.adopt(ready.head_id)
    return trust


def test_threshold_puts_a_policy_in_force(
    run: Run, passphrase: Path, policy: Path, mesh: Path
) -> None:
    """Two of three keys sign version 1, and a node that knows only the first root adopts it."""
    done = sign(run, passphrase, policy, 1, 2)
    assert done.code == 0, done.err
    assert "2 of the 2 needed" in done.out
    trust = adopted(mesh, mesh / "bundles/1-1.hgb")
    assert trust.head is not None
    assert (trust.head.epoch, trust.head.version, trust.head.previous) == (1, 1, None)
    assert trust.head.stale_after - trust.head.issued == 7 * 86400
    assert trust.head.expires - trust.head.issued == 30 * 86400
    assert trust.freshness(clock.now()) == "fresh"


def test_versions_follow_each_other(run: Run, passphrase: Path, policy: Path, mesh: Path) -> None:
    """The second bundle is version 2, names the first, and keeps the version of equal parts."""
    sign(run, passphrase, policy, 1, 2)
    policy.write_text(POLICY.replace("tcp/5432", "tcp/5433"))
    second = sign(run, passphrase, policy, 2, 3, more=("--json",)).json
    first_head = signing.decode(Bundle.decode((mesh / "bundles/1-1.hgb").read_bytes()).head)
    assert second["version"] == 2
    assert second["previous"] == first_head.id.hex()
    assert second["parts"]["policy"]["version"] == 2
    assert second["parts"]["directory"]["version"] == 1
    assert adopted(mesh, mesh / "bundles/1-2.hgb").head is not None


def test_who_gains_and_loses_is_shown_before_signing(
    run: Run, passphrase: Path, policy: Path, mesh: Path
) -> None:
    """The difference in access is on stderr, gains, losses and changes by name."""
    first = sign(run, passphrase, policy, 1, 2)
    assert "gains   user:alice to resource:db: tcp/5432" in first.err
    again = sign(run, passphrase, policy, 1, 2)
    assert "nobody gains or loses access" in again.err
    blocked = POLICY.replace("[[test]]", '[[block]]\nid = "b"\nwho = ["user:alice"]\n[[test]]', 1)
    policy.write_text(blocked)
    assert "loses   user:alice to resource:db: tcp/5432" in sign(run, passphrase, policy, 1, 2).err
    policy.write_text(blocked.replace("tcp/5432", "tcp/22"))
    changed = sign(run, passphrase, policy, 1, 2)
    assert "changes group:dba to resource:db: tcp/5432 becomes tcp/22" in changed.err


def test_many_changes_are_counted(
    run: Run, passphrase: Path, policy: Path, mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more changes are shown than a person reads; the rest is counted."""
    monkeypatch.setattr("node.cli.admin.describe.CHANGES_SHOWN", 1)
    done = sign(run, passphrase, policy, 1, 2)
    assert done.err.count("gains") == 1
    assert "and 2 changes more" in done.err


def test_second_holder_completes(
    run: Run, passphrase: Path, policy: Path, mesh: Path, add: Run, tmp_path: Path
) -> None:
    """With one key the bundle waits; another holder adds his, and the partial file goes."""
    first = sign(run, passphrase, policy, 1, more=("--out", "draft.hgb"))
    assert "1 of the 2 needed: not in force yet" in first.out
    assert (mesh / "bundles/1-1.partial.hgb").exists()
    done = add("draft.hgb", KEY_2)
    assert done.code == 0, done.err
    assert "read in full; its tests pass" in done.err
    assert sorted(path.name for path in (mesh / "bundles").iterdir()) == ["1-1.hgb"]
    assert adopted(mesh, mesh / "bundles/1-1.hgb").head is not None


def test_second_holder_on_a_machine_of_his_own(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """A holder whose folder has the root alone can complete a bundle, and remembers it."""
    other = tmp_path / "other"
    shutil.copytree(mesh, other)
    for path in (other / "keys").iterdir():
        path.unlink()
    sign(run, passphrase, policy, 1, more=("--out", "draft.hgb"))
    common = ("--key", KEY_2, "--passphrase-file", passphrase, "--dir", "other")
    done = run("admin", "sign", "--add", "draft.hgb", *common, "--out", "final.hgb")
    assert done.code == 0, done.err
    assert adopted(mesh, tmp_path / "final.hgb").head is not None
    assert (other / "bundles/1-1.hgb").exists()
    back = sign(run, passphrase, policy, 1, 3, more=("--on", "final.hgb", "--json"))
    assert back.json["version"] == 2, back.err


def test_unfinished_bundle_is_not_forgotten(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """While a version lacks signatures the next is refused; --abandon goes on to another."""
    sign(run, passphrase, policy, 1)
    before = snapshot(tmp_path)
    refused = sign(run, passphrase, policy, 1, 2)
    assert refused.code == 1
    assert "1-1.partial.hgb still lacks signatures" in refused.err
    assert snapshot(tmp_path) == before
    done = sign(run, passphrase, policy, 1, 2, more=("--abandon", "--json"))
    assert done.json["version"] == 2, "no version is ever signed twice"


def test_late_signature_on_an_abandoned_bundle(
    run: Run, passphrase: Path, policy: Path, mesh: Path, add: Run, tmp_path: Path
) -> None:
    """Once version 2 is in force nobody completes version 1 any more."""
    sign(run, passphrase, policy, 1, more=("--out", "one.hgb"))
    sign(run, passphrase, policy, 1, 2, more=("--abandon",))
    before = snapshot(tmp_path)
    late = add("one.hgb", KEY_2)
    assert late.code == 1
    assert "bundle 1-1 is older than 1-2 in this folder" in late.err
    assert snapshot(tmp_path) == before


def test_bundle_on_an_unknown_one_is_not_signed(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """A holder who has seen version 1 is not led past a version 2 that he has not seen."""
    sign(run, passphrase, policy, 1, 2)
    shutil.copytree(mesh, tmp_path / "other")
    sign(run, passphrase, policy, 1, 2)
    sign(run, passphrase, policy, 1, more=("--out", "three.hgb"))
    common = ("--key", KEY_2, "--passphrase-file", passphrase, "--dir", "other")
    before = snapshot(tmp_path)
    blind = run("admin", "sign", "--add", "three.hgb", *common)
    assert blind.code == 1
    assert "bundle 1-3 does not build on the newest bundle here" in blind.err
    assert snapshot(tmp_path) == before
    seen = run("admin", "sign", "--add", "three.hgb", *common, "--on", mesh / "bundles/1-2.hgb")
    assert seen.code == 0, seen.err


def test_older_base_is_refused(run: Run, passphrase: Path, policy: Path, mesh: Path) -> None:
    """Building on a bundle that is not the newest one is refused."""
    sign(run, passphrase, policy, 1, 2)
    sign(run, passphrase, policy, 1, 2)
    done = sign(run, passphrase, policy, 1, 2, more=("--on", "acme/bundles/1-1.hgb"))
    assert done.code == 1
    assert "bundle 1-1 is older than 1-2 in this folder" in done.err


def test_two_bundles_of_one_version(
    run: Run, passphrase: Path, policy: Path, mesh: Path, add: Run, tmp_path: Path
) -> None:
    """A second bundle of a version in force is called what it is, and not signed."""
    shutil.copytree(mesh, tmp_path / "evil")
    sign(run, passphrase, policy, 1, 2)
    policy.write_text(POLICY.replace("tcp/5432", "tcp/1"))
    common = ("--key", KEY_3, "--passphrase-file", passphrase, "--dir", "evil")
    assert run("admin", "sign", policy, *common, "--out", "rival.hgb").code == 0
    before = snapshot(tmp_path)
    done = add("rival.hgb", KEY_1)
    assert done.code == 1
    assert "two different bundles claim the version 1-1" in done.err
    verdict = run("admin", "verify", "rival.hgb", "--dir", "acme")
    assert verdict.code == 1
    assert "two different bundles claim the version 1-1" in verdict.err
    assert snapshot(tmp_path) == before


def test_keys_that_do_not_count(
    run: Run, passphrase: Path, policy: Path, mesh: Path, add: Run, tmp_path: Path
) -> None:
    """The same key twice, a stranger's key and no key at all do not make a signature."""
    run("admin", "keygen", "--out", "own.key", "--passphrase-file", passphrase)
    sign(run, passphrase, policy, 1, more=("--out", "draft.hgb"))
    before = snapshot(tmp_path)
    stranger = add("draft.hgb", "own.key")
    again = add("draft.hgb", KEY_1)
    twice = add("draft.hgb", KEY_2, KEY_2)
    none = add("draft.hgb")
    assert "does not hold the policy role in this mesh" in stranger.err
    assert "has signed bundle 1-1 already" in again.err
    assert "one key is given twice" in twice.err
    assert "Missing option '--key'" in none.err
    assert [each.code for each in (stranger, again, twice, none)] == [1, 1, 1, 2]
    assert snapshot(tmp_path) == before


def test_policy_or_bundle_has_to_be_named(run: Run, policy: Path, mesh: Path) -> None:
    """Naming both or neither of a policy and a bundle is a usage error."""
    common = ("--key", KEY_1, "--dir", "acme")
    assert run("admin", "sign", *common).code == 2
    assert run("admin", "sign", policy, "--add", policy, *common).code == 2


def test_nothing_is_signed_while_a_test_fails(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """A policy whose own test fails is shown with its line and not signed."""
    policy.write_text(POLICY.replace('{ user = "bob" }', '{ user = "alice" }'))
    before = snapshot(tmp_path)
    done = sign(run, passphrase, policy, 1, 2)
    assert done.code == 1
    assert "user:alice to resource:db on tcp/5432" in done.err
    assert "hedgerow: 1 of the 2 tests in" in done.err
    assert snapshot(tmp_path) == before


def test_terms_of_a_head(run: Run, passphrase: Path, policy: Path, mesh: Path) -> None:
    """--stale-after and --expires stand in the head; stale after expiry is refused."""
    done = sign(run, passphrase, policy, 1, 2, more=("--stale-after", "1h", "--expires", "2h"))
    assert done.code == 0
    head = Bundle.decode((mesh / "bundles/1-1.hgb").read_bytes()).decoded_head()
    assert (head.stale_after - head.issued, head.expires - head.issued) == (3600, 7200)
    wrong = sign(run, passphrase, policy, 1, 2, more=("--stale-after", "3h", "--expires", "2h"))
    assert wrong.code == 1
    assert "stale_after <= expires does not hold" in wrong.err


def test_policy_of_another_mesh_is_not_signed(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """A document for another mesh is refused before anyone types a passphrase."""
    policy.write_text(POLICY.replace('mesh = "acme"', 'mesh = "other"'))
    before = snapshot(tmp_path)
    done = sign(run, passphrase, policy, 1, 2)
    assert done.code == 1
    assert "is written for the mesh other, and this folder is of acme" in done.err
    assert snapshot(tmp_path) == before


def test_out_is_not_overwritten(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """An --out that exists is kept, and no version is used up."""
    (tmp_path / "mine.hgb").write_text("mine")
    before = snapshot(tmp_path)
    done = sign(run, passphrase, policy, 1, 2, more=("--out", "mine.hgb"))
    nowhere = sign(run, passphrase, policy, 1, 2, more=("--out", "no/such/place.hgb"))
    assert (done.code, nowhere.code) == (1, 1)
    assert "mine.hgb exists" in done.err
    assert "cannot write no/such/place.hgb" in nowhere.err
    assert snapshot(tmp_path) == before


def test_verify_names_who_signed(run: Run, passphrase: Path, policy: Path, mesh: Path) -> None:
    """A complete bundle verifies with 0, under stable JSON keys; people see who has signed."""
    sign(run, passphrase, policy, 1, 3)
    done = run("admin", "verify", "acme/bundles/1-1.hgb", "--dir", "acme")
    assert done.code == 0
    assert done.out.count("signed by:") == 2
    assert done.out.count("not by:") == 1
    value = run("admin", "verify", "acme/bundles/1-1.hgb", "--dir", "acme", "--json").json
    assert value["ok"] is True
    assert set(value) == {
        "ok", "problems", "epoch", "version", "head_id", "previous", "complete", "signers",
        "threshold", "issued", "stale_after", "expires", "parts", "tests", "failures",
    }  # fmt: skip


def test_verify_wants_all_signatures(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """One signature too few is told, the exit code is 1, and nothing is changed."""
    sign(run, passphrase, policy, 1, more=("--out", "draft.hgb"))
    before = snapshot(tmp_path)
    done = run("admin", "verify", "draft.hgb", "--dir", "acme")
    assert done.code == 1
    assert "draft.hgb would not be put in force: 1 more signature needed" in done.err
    value = run("admin", "verify", "draft.hgb", "--dir", "acme", "--json")
    assert (value.code, value.json["ok"], value.json["complete"]) == (1, False, False)
    assert snapshot(tmp_path) == before


def test_verify_tells_age_and_future(
    run: Run, passphrase: Path, policy: Path, mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired bundle and one from the future are told apart."""
    sign(run, passphrase, policy, 1, 2)
    present = clock.now()
    said = []
    for shift in (31 * 86400, -86400):
        moved = Interval(present.lo + shift, present.hi + shift)
        monkeypatch.setattr("node.cli.admin.options.now", lambda moved=moved: moved)
        done = run("admin", "verify", "acme/bundles/1-1.hgb", "--dir", "acme")
        assert done.code == 1
        said.append(done.err)
    assert "it expired at " in said[0]
    assert "it comes from the future" in said[1]


def test_publish_hands_the_bytes_to_the_node(
    run: Run, passphrase: Path, policy: Path, mesh: Path, tmp_path: Path
) -> None:
    """Publishing posts a file's bytes to the socket and reports what the node answers."""
    sign(run, passphrase, policy, 1, 2)
    bundle = mesh / "bundles/1-1.hgb"
    with daemon.running(tmp_path / "daemon.sock") as node:
        done = run("admin", "publish", bundle, "--socket", "daemon.sock")
        by_state = run("admin", "publish", bundle, bundle, "--state", tmp_path, "--json")
        node.status, node.reply = 400, {"error": "it is older", "remedy": "fetch the newest"}
        refused = run("admin", "publish", bundle, "--socket", "daemon.sock")
    assert (done.code, done.out) == (0, f"head {'ab' * 8}: published\n")
    assert by_state.json == {"admitted": [daemon.ADMITTED] * 2}
    assert node.taken == [("/v1/publish", bundle.read_bytes())] * 4
    assert refused.code == 1
    assert refused.err.splitlines() == ["hedgerow: it is older", "  fetch the newest"]


def test_publish_without_a_node(run: Run, tmp_path: Path, policy: Path) -> None:
    """Where no daemon listens, or two places are named, publishing says so."""
    nobody = run("admin", "publish", policy, "--socket", "none.sock")
    both = run("admin", "publish", policy, "--socket", "none.sock", "--state", tmp_path)
    missing = run("admin", "publish", "nowhere.hgb", "--socket", "none.sock")
    assert (nobody.code, both.code, missing.code) == (1, 2, 1)
    assert "no daemon is running: nothing listens on none.sock" in nobody.err
    assert "cannot read nowhere.hgb" in missing.err


def test_revocation_is_published_at_once(
    run: Run, passphrase: Path, mesh: Path, tmp_path: Path
) -> None:
    """--publish hands a revocation to the node as soon as it is signed."""
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    run("admin", "approve", request("gateway")[1], *common)
    with daemon.running(tmp_path / "daemon.sock") as node:
        done = run("admin", "revoke", "gateway", *common, "--publish", "--socket", "daemon.sock")
    assert done.code == 0, done.err
    (path,) = (mesh / "revokes").iterdir()
    assert node.taken == [("/v1/publish", path.read_bytes())]
    assert "not in force yet" not in done.err


def crafted(
    mesh: Path, document: str, *, parts: tuple[str, ...] = ("policy", "directory")
) -> bytes:
    """Return a bundle that one dishonest holder signed without asking the command."""
    compiled = compile_document(parse(document, "crafted"))
    data = {"policy": compiled.policy, "directory": compiled.directory}
    carried = {name: data[name] for name in parts}
    key = keyfile.unlock(keyfile.load(mesh / "keys/1.key"), PASSPHRASE)
    root = (mesh / "roots/1.root").read_bytes()
    issued = int(clock.now().lo)
    head = Head(
        epoch=1,
        version=1,
        issued=issued,
        stale_after=issued + 10,
        expires=issued + 20,
        previous=None,
        parts={
            name: PartRef(1, sha256(part).digest(), len(part)) for name, part in carried.items()
        },
    )
    mesh_id = signing.decode(root).id
    raw = signing.seal(ObjectType.HEAD, mesh_id, head.to_payload(), [key.seed])
    return Bundle(roots=(root,), head=raw, parts=carried).encode()


@pytest.mark.parametrize(
    ("document", "parts", "said"),
    [
        (
            POLICY.replace('{ user = "bob" }', '{ user = "alice" }'),
            ("policy", "directory"),
            "1 of its own tests fail: user:alice to resource:db on tcp/5432",
        ),
        (
            POLICY.replace('mesh = "acme"', 'mesh = "other"'),
            ("policy", "directory"),
            "its policy is written for the mesh other, not for acme",
        ),
        (POLICY, ("policy",), "it has to carry the parts policy and directory"),
    ],
)
def test_dishonest_proposal_is_not_signed(
    mesh: Path, add: Run, tmp_path: Path, document: str, parts: tuple[str, ...], said: str
) -> None:
    """What the first holder skipped the second one's machine checks, and refuses."""
    (tmp_path / "crafted.hgb").write_bytes(crafted(mesh, document, parts=parts))
    before = snapshot(tmp_path)
    done = add("crafted.hgb", KEY_2)
    assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before


def test_verify_reports_failing_tests(run: Run, mesh: Path, tmp_path: Path) -> None:
    """A bundle whose own tests fail does not verify, and the failures are in the JSON."""
    document = POLICY.replace('{ user = "bob" }', '{ user = "alice" }')
    (tmp_path / "crafted.hgb").write_bytes(crafted(mesh, document))
    done = run("admin", "verify", "crafted.hgb", "--dir", "acme", "--json")
    assert done.code == 1
    assert len(done.json["failures"]) == 1
    assert "1 of its own tests fail" in "; ".join(done.json["problems"])
