"""`hedgerow admin invite`, `approve`, `revoke` and `show`: who comes in, and who goes."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from crypto import signing
from crypto.clock import Interval
from crypto.identity import overlay6
from crypto.invite import Approval, Invite
from crypto.objects import Device, Revoke, RevokeKind
from crypto.signing import ObjectType
from crypto.trust import Trust
from node.bootstrap import format_bootstrap
from node.cli import clock
from tests.cli.commands import Outcome, Run, found, request, sign, snapshot

pytestmark = pytest.mark.usefixtures("cheap_keys")

Admin = Callable[..., Outcome]
VIA = ("--via", "gateway=192.0.2.1:41641")


@pytest.fixture
def admin(run: Run, passphrase: Path) -> Admin:
    """Run `hedgerow admin VERB …` on the folder acme, which has just been made."""
    found(run, passphrase)
    common = {
        "invite": ("--passphrase-file", passphrase),
        "approve": ("--passphrase-file", passphrase),
        "revoke": ("--passphrase-file", passphrase),
    }

    def call(verb: str, *arguments: object) -> Outcome:
        return run("admin", verb, *arguments, "--dir", "acme", *common.get(verb, ()))

    return call


def trust_of(folder: Path) -> Trust:
    """Return what a stranger who has only the first root believes of the folder's objects."""
    trust = Trust((folder / "roots/1.root").read_bytes())
    for name in ("tickets", "devices", "revokes"):
        for path in sorted((folder / name).iterdir()):
            trust.admit(path.read_bytes(), clock.now())
    return trust


def test_approved_device_is_in_force_everywhere(
    run: Run, admin: Admin, passphrase: Path, tmp_path: Path
) -> None:
    """The approval verifies under its own first root, and the device has its own addresses."""
    keys, text = request("gateway")
    done = admin("approve", text, "--tag", "prod", "--owner", "alice")
    made = Approval.decode(done.out)
    trust = Trust(made.roots[0])
    trust.admit(made.device_raw, clock.now())
    device = trust.devices(clock.now())[keys.device_id]
    assert (device.name, device.tags, device.owner) == ("gateway", ("prod",), "alice")
    assert device.address4 == IPv4Address("100.64.0.1")
    assert device.address6 == overlay6(trust.mesh_id, keys.device_id)
    assert (device.wireguard_public, device.gossip_public) == (
        keys.wireguard_public,
        keys.gossip_public,
    )
    assert trust.name_is_authoritative(keys.device_id)
    assert made.parts == (), "there is no bundle yet"


def test_approval_is_all_that_is_printed(admin: Admin) -> None:
    """Only the approval goes to stdout, so that it can be sent on; what it says is on stderr."""
    done = admin("approve", request("gateway")[1])
    assert done.out.startswith("hga1")
    assert done.out.count("\n") == 1
    assert done.err.startswith("device gateway ")


def test_approval_brings_the_bundle(
    run: Run, admin: Admin, passphrase: Path, policy: Path
) -> None:
    """Once a bundle is signed, approvals carry it, so the first device needs nothing else."""
    assert sign(run, passphrase, policy, 1, 2).code == 0
    made = Approval.decode(admin("approve", request("gateway")[1]).out)
    trust = Trust(made.roots[0])
    for raw in made.objects:
        trust.admit(raw, clock.now())
    for part in made.parts:
        trust.admit_part(part)
    assert trust.ready() is not None


def test_request_from_a_file(admin: Admin, tmp_path: Path) -> None:
    """A request may be the name of a file that holds it, and the approval go to another."""
    (tmp_path / "gateway.request").write_text(request("gateway")[1] + "\n")
    done = admin("approve", "gateway.request", "--out", "gateway.approval")
    assert (done.code, done.out) == (0, "")
    assert Approval.decode((tmp_path / "gateway.approval").read_text()).device.name == "gateway"


def test_approval_can_be_printed_again(run: Run, admin: Admin, passphrase: Path) -> None:
    """--again gives the same device once more and signs nothing."""
    first = admin("approve", request("gateway")[1])
    again = run("admin", "approve", "--again", "gateway", "--dir", "acme")
    assert again.out == first.out
    both = admin("approve", request("gateway")[1], "--again", "gateway")
    neither = admin("approve")
    assert (both.code, neither.code) == (2, 2)


def test_approval_of_a_device_of_limited_life(admin: Admin) -> None:
    """--lifetime lets a device end by itself."""
    device = Approval.decode(admin("approve", request("guest")[1], "--lifetime", "7d").out).device
    assert device.not_after == device.issued + 7 * 86400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "Not A Name"), "device: name 'Not A Name' is no valid name"),
        (("--tag", "b a d"), "no valid name"),
        (("--address", "10.0.0.1"), "10.0.0.1 is not in the pool 100.64.0.0/10 of this mesh"),
        (("--address", "100.64.0.0"), "is no host of 100.64.0.0/10"),
        (("--key", "passphrase"), "passphrase is not a key file, or it is damaged"),
        (("--key", "nowhere.key"), "cannot read nowhere.key"),
        (("--out", "no/such/folder"), "cannot write no/such/folder"),
    ],
)
def test_impossible_approval(
    admin: Admin, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """Whatever cannot be is named, and the folder stays as it was."""
    before = snapshot(tmp_path)
    done = admin("approve", request("gateway")[1], *options)
    assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before


def test_device_and_name_are_given_once(admin: Admin, tmp_path: Path) -> None:
    """Neither the same device nor the same name is approved twice."""
    admin("approve", request("gateway", 1)[1])
    before = snapshot(tmp_path)
    same = admin("approve", request("gateway", 1)[1])
    name = admin("approve", request("gateway", 2)[1])
    assert "was approved before, as gateway" in same.err
    assert "hedgerow admin approve --again gateway" in same.err
    assert "the name gateway belongs to an approved device" in name.err
    assert snapshot(tmp_path) == before


def test_wrong_texts_are_told_apart(admin: Admin, tmp_path: Path) -> None:
    """Another kind of text, a changed one, a cut one and none at all have their own messages."""
    text = request("gateway")[1]
    admin("approve", text)
    invite = admin("invite", *VIA).out.strip()
    before = snapshot(tmp_path)
    changed = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    said = [
        admin("approve", wrong)
        for wrong in (invite, changed, text[:-20], "gateway.request", "hgq1", "")
    ]
    assert [each.code for each in said] == [1] * len(said)
    messages = [each.err.splitlines()[0] for each in said]
    assert "invite" in messages[0]
    assert len({message.split(":")[-1] for message in messages[:3]}) == 3, messages
    assert snapshot(tmp_path) == before


def test_invite_holds_a_ticket_of_this_mesh(admin: Admin, tmp_path: Path) -> None:
    """An invite's ticket is signed by a registrar, as wide as asked, and kept without secret."""
    keys, text = request("gateway")
    admin("approve", text)
    done = admin("invite", "--name", "db1", "--tag", "prod", "--owner", "alice", *VIA)
    assert (done.code, done.out.count("\n")) == (0, 1)
    invite = Invite.decode(done.out)
    trust = trust_of(tmp_path / "acme")
    ticket = trust.ticket(signing.decode(invite.ticket_raw).id)
    assert ticket is not None
    assert (ticket.name, ticket.tags, ticket.owner, ticket.uses) == ("db1", ("prod",), "alice", 1)
    assert ticket.not_after - ticket.issued == 24 * 3600
    assert ticket.addresses.prefixlen == 32
    (member,) = invite.bootstrap
    assert (member.host, member.port) == ("192.0.2.1", 41641)
    assert (member.device_id, member.gossip_public) == (keys.device_id, keys.gossip_public)
    stored = b"".join(content for _, content in snapshot(tmp_path / "acme").values())
    assert invite.ticket_seed not in stored


def test_many_uses_get_a_range(admin: Admin) -> None:
    """Ten uses get a range with room to choose; --address sets it by hand."""
    admin("approve", request("gateway")[1])
    wide = Invite.decode(admin("invite", "--uses", 10, *VIA).out).ticket
    own = Invite.decode(
        admin("invite", "--uses", 3, "--address", "100.100.0.0/24", *VIA).out
    ).ticket
    assert (wide.uses, wide.addresses.prefixlen) == (10, 25)
    assert own.addresses == IPv4Network("100.100.0.0/24")


def test_addresses_are_never_given_twice(admin: Admin) -> None:
    """Devices, one-use invites and ranges of one folder never overlap."""
    given = []
    for number in range(1, 4):
        text = request(f"node-{number}", number)[1]
        device = Approval.decode(admin("approve", text).out).device
        given.append(IPv4Network(device.address4))
    for uses in (1, 5, 1, 20, 1):
        via = ("--via", "node-1=192.0.2.1:1")
        given.append(Invite.decode(admin("invite", "--uses", uses, *via).out).ticket.addresses)
    assert not any(a.overlaps(b) for i, a in enumerate(given) for b in given[:i])
    taken = admin("invite", "--address", str(given[0].network_address), *VIA)
    assert taken.code == 1
    assert (
        "which was handed out before"
        in admin(
            "invite", "--address", str(given[0].network_address), "--via", "node-1=192.0.2.1:1"
        ).err
    )


def test_registrars_take_from_slices_of_their_own(admin: Admin) -> None:
    """Invites by two registrar keys come from different slices of the pool."""
    admin("approve", request("gateway")[1])
    slices = set()
    for number in (1, 2, 3):
        done = admin("invite", "--key", f"acme/keys/{number}.key", *VIA)
        slices.add(Invite.decode(done.out).ticket.addresses.supernet(new_prefix=14))
    assert len(slices) == 3


def test_ephemeral_invite(admin: Admin) -> None:
    """--ephemeral stands in the ticket, in minutes."""
    admin("approve", request("gateway")[1])
    invite = Invite.decode(admin("invite", "--uses", 5, "--ephemeral", 30, *VIA).out)
    assert invite.ticket.ephemeral_minutes == 30


def test_invite_to_a_private_file(admin: Admin, tmp_path: Path) -> None:
    """--out writes the invite where only its owner reads it, and prints it nowhere."""
    admin("approve", request("gateway")[1])
    done = admin("invite", "--out", "db1.invite", "--json", *VIA)
    path = tmp_path / "db1.invite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Invite.decode(path.read_text()).mesh_name == "acme"
    assert "hgr1" not in done.out + done.err
    assert done.json["invite"] is None


def test_members_to_join_through(admin: Admin, tmp_path: Path) -> None:
    """A member is named by name, by the start of its id, by its line, or by a file."""
    keys, text = request("gateway")
    admin("approve", text)
    first = Invite.decode(admin("invite", *VIA).out).bootstrap[0]
    line = format_bootstrap(first)
    (tmp_path / "lines").write_text(f"{line}\n\n")
    (tmp_path / "status.json").write_text(json.dumps({"bootstrap": [line], "other": 1}))
    for via in (
        ("--via", f"192.0.2.1:41641/{keys.device_id.hex()[:8]}"),
        ("--via", line),
        ("--via-node", "lines"),
        ("--via-node", "status.json"),
    ):
        assert Invite.decode(admin("invite", *via).out).bootstrap == (first,)


@pytest.mark.parametrize(
    ("via", "code", "said"),
    [
        ((), 2, "Name a member to join through"),
        (("--via", "stranger=192.0.2.1:1"), 1, "no device 'stranger' was approved in this folder"),
        (("--via", "192.0.2.1:1/00"), 1, "no device '00' was approved"),
        (("--via", "192.0.2.1"), 1, "no device '192.0.2.1' was approved"),
        (("--via", "gateway=192.0.2.1"), 1, "'192.0.2.1' is not HOST:PORT"),
        (("--via", "192.0.2.1:1=ab:cd"), 1, "is not a bootstrap line"),
        (("--via-node", "empty"), 1, "empty names no member to join through"),
        (("--via-node", "nowhere"), 1, "cannot read nowhere"),
    ],
)
def test_member_that_cannot_be_reached(
    admin: Admin, tmp_path: Path, via: tuple[str, ...], code: int, said: str
) -> None:
    """A member that is not one is named, and nothing is signed."""
    admin("approve", request("gateway")[1])
    (tmp_path / "empty").write_text("\n")
    before = snapshot(tmp_path)
    done = admin("invite", *via)
    assert (done.code, said in done.err) == (code, True), done.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--name", "db1", "--uses", "2"), 1, "one name cannot serve 2 devices"),
        (("--name", "gateway"), 1, "the name gateway belongs to an approved device"),
        (("--uses", "0"), 2, "0 is not in the range"),
        (("--expires", "0h"), 2, "is not a span of time"),
        (("--uses", "9", "--address", "100.99.0.0/30"), 1, "has fewer addresses than 9 uses need"),
        (("--ephemeral", "0"), 2, "0 is not in the range"),
    ],
)
def test_impossible_invite(
    admin: Admin, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    """An invite that contradicts itself is refused, and nothing is signed."""
    admin("approve", request("gateway")[1])
    before = snapshot(tmp_path)
    done = admin("invite", *options, *VIA)
    assert (done.code, said in done.err) == (code, True), done.err
    assert snapshot(tmp_path) == before


def test_promised_name_is_kept_until_the_invite_ends(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in an open invite is not given away; once the invite has expired it is free."""
    admin("approve", request("gateway", 1)[1])
    admin("invite", "--name", "db1", "--expires", "1h", *VIA)
    taken = admin("approve", request("db1", 2)[1])
    assert "the name db1 is promised by an open invite" in taken.err
    present = clock.now()
    later = Interval(present.lo + 7200, present.hi + 7200)
    monkeypatch.setattr("node.cli.admin.options.now", lambda: later)
    assert admin("approve", request("db1", 2)[1]).code == 0


def test_revoked_device_is_out_for_good(admin: Admin, tmp_path: Path) -> None:
    """A revocation by name verifies elsewhere, and its device is not approved again."""
    keys, text = request("gateway")
    admin("approve", text)
    done = admin("revoke", "gateway", "--reason", "stolen on a train")
    path = tmp_path / done.out.strip()
    assert path.read_bytes()
    assert "hedgerow admin publish" in done.err
    trust = trust_of(tmp_path / "acme")
    assert trust.device_state(keys.device_id, clock.now()) == (False, "revoked")
    envelope = signing.decode(path.read_bytes())
    assert Revoke.from_payload(envelope.payload).reason == "stolen on a train"
    again = admin("approve", text)
    assert "is revoked, and that is for good" in again.err
    twice = admin("revoke", keys.device_id.hex())
    assert "this device is revoked already" in twice.err
    assert (again.code, twice.code) == (1, 1)


def test_name_of_a_revoked_device_is_free(admin: Admin) -> None:
    """The name of a revoked device can be given to its replacement, at another address."""
    first = Approval.decode(admin("approve", request("gateway", 1)[1]).out).device
    admin("revoke", "gateway")
    second = Approval.decode(admin("approve", request("gateway", 2)[1]).out).device
    assert second.name == "gateway"
    assert second.address4 != first.address4


def test_everything_else_that_can_be_revoked(admin: Admin, tmp_path: Path) -> None:
    """Users, tickets, registrar keys, grants and foreign device ids are revoked by their names."""
    admin("approve", request("gateway")[1])
    ticket = admin("invite", "--name", "db1", "--json", *VIA).json["ticket"]
    unnamed = admin("invite", "--json", *VIA).json["ticket"]
    key = admin("show", "--json").json["keys"][2]["key"]
    foreign = request("elsewhere", 9)[0].device_id
    for kind, subject in (
        ("user", "alice@example.org"),
        ("ticket", "db1"),
        ("ticket", unnamed[:16]),
        ("registrar", key),
        ("grant", "dba-postgres"),
        ("device", foreign.hex()),
    ):
        done = admin("revoke", subject, "--kind", kind, "--json")
        assert done.code == 0, done.err
    trust = trust_of(tmp_path / "acme")
    assert trust.is_revoked(RevokeKind.USER, "alice@example.org")
    assert trust.is_revoked(RevokeKind.TICKET, bytes.fromhex(ticket))
    assert trust.is_revoked(RevokeKind.TICKET, bytes.fromhex(unnamed))
    assert trust.is_revoked(RevokeKind.DEVICE, foreign)
    states = [each["state"] for each in admin("show", "--json").json["invites"]]
    assert states == ["expired or revoked"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "no device in this folder is called 'nobody', and no id begins so"),
        (("00000000",), "no device in this folder is called '00000000'"),
        (("nothing", "--kind", "ticket"), "no ticket in this folder is called 'nothing'"),
        (("nobody", "--kind", "registrar"), "is not a public key"),
        (("ed25519:" + "ab" * 32, "--kind", "registrar"), "is not a registrar key of this mesh"),
        (("Not A User", "--kind", "user"), "is no valid name"),
        (("gateway", "--reason", "two\nlines"), "control or invisible character"),
    ],
)
def test_nobody_to_revoke(
    admin: Admin, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """A subject that means nothing is refused, and nothing is signed."""
    admin("approve", request("gateway")[1])
    before = snapshot(tmp_path)
    done = admin("revoke", *arguments)
    assert (done.code, said in done.err) == (1, True), done.err
    assert snapshot(tmp_path) == before


def test_revocation_can_be_dated_back(admin: Admin, tmp_path: Path) -> None:
    """--since is the time from which whatever the subject vouched for goes with it."""
    admin("approve", request("gateway")[1])
    done = admin("revoke", "gateway", "--since", "2026-01-02T03:04:05Z")
    envelope = signing.decode((tmp_path / done.out.strip()).read_bytes())
    assert Revoke.from_payload(envelope.payload).issued == 1767323045


def test_key_of_another_role_does_not_sign(run: Run, passphrase: Path, tmp_path: Path) -> None:
    """Where registrars are keys of their own, a holder's key lets nobody in."""
    own = run("admin", "keygen", "--out", "r.key", "--passphrase-file", passphrase).out.strip()
    found(run, passphrase, "--registrar", own)
    common = ("--dir", "acme", "--passphrase-file", passphrase)
    text = request("gateway")[1]
    implicit = run("admin", "approve", text, *common)
    holder = run("admin", "approve", text, *common, "--key", "acme/keys/1.key")
    several = run("admin", "approve", text, *common, "--key", "r.key", "--key", "r.key")
    assert "no key file in acme/keys is a registrar key of this mesh" in implicit.err
    assert "acme/keys/1.key is no registrar key of this mesh" in holder.err
    assert "a single registrar key signs this, not 2" in several.err
    assert run("admin", "approve", text, *common, "--key", "r.key").code == 0


def test_show_lists_what_the_folder_holds(
    run: Run, admin: Admin, passphrase: Path, policy: Path
) -> None:
    """For people, show has a table for keys, devices, invites and revocations."""
    empty = admin("show")
    assert "newest bundle: none" in empty.out
    assert "Devices" not in empty.out
    admin("approve", request("gateway")[1])
    admin("invite", "--name", "db1", *VIA)
    admin("revoke", "alice", "--kind", "user")
    sign(run, passphrase, policy, 1, 2)
    done = admin("show")
    for text in ("Keys", "Devices", "gateway", "in force", "Invites", "db1", "open", "Revoked"):
        assert text in done.out
    assert "acme/bundles/1-1.hgb" in done.out
    assert set(admin("show", "--json").json) == {
        "mesh", "mesh_id", "root", "expires", "pool", "thresholds", "keys", "bundles", "devices",
        "invites", "revoked", "problems",
    }  # fmt: skip


def test_changed_file_in_the_folder_is_not_built_upon(
    run: Run, admin: Admin, passphrase: Path, tmp_path: Path
) -> None:
    """A device file with a changed byte is warned of, and its keys are not put into an invite."""
    admin("approve", request("gateway")[1])
    (path,) = (tmp_path / "acme/devices").iterdir()
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert "warning: " in admin("show").err
    assert str(path.name) in admin("show").err


def test_foreign_device_file_is_not_built_upon(
    run: Run, admin: Admin, passphrase: Path, tmp_path: Path
) -> None:
    """A device signed for another mesh and copied in cannot be joined through."""
    done = run("admin", "init", "evil", "--dir", "evil", "--passphrase-file", passphrase)
    assert done.code == 0
    text = request("gateway", 7)[1]
    run("admin", "approve", text, "--dir", "evil", "--passphrase-file", passphrase)
    (path,) = (tmp_path / "evil/devices").iterdir()
    (tmp_path / "acme/devices" / path.name).write_bytes(path.read_bytes())
    assert "warning: " in admin("show").err
    invite = admin("invite", *VIA)
    assert invite.code == 1
    assert "no device 'gateway' was approved in this folder" in invite.err


def test_object_of_another_kind_in_the_folder(admin: Admin, tmp_path: Path) -> None:
    """A revocation put among the devices is reported and not taken for one."""
    admin("revoke", "alice", "--kind", "user")
    (path,) = (tmp_path / "acme/revokes").iterdir()
    (tmp_path / "acme/devices/x.device").write_bytes(path.read_bytes())
    assert "it holds a revoke" in admin("show").err
    assert admin("show", "--json").json["devices"] == []


def test_device_payload_is_what_was_asked(admin: Admin, tmp_path: Path) -> None:
    """The file of a device is its envelope, named by its object id."""
    admin("approve", request("gateway")[1])
    (path,) = (tmp_path / "acme/devices").iterdir()
    envelope = signing.decode(path.read_bytes())
    assert envelope.type is ObjectType.DEVICE
    assert path.name == f"{envelope.id.hex()}.device"
    assert Device.from_payload(envelope.payload).ticket is None
