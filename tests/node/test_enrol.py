"""Joining: checked whole before anything is written, and written at once."""

import os
import stat
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from crypto import signing
from crypto.clock import Interval
from crypto.errors import InviteError, LocalError
from crypto.identity import DeviceKeys, overlay6
from crypto.invite import Invite
from crypto.objects import Device
from node import address, enrol, keystore, paths, restore
from node.lock import AlreadyRunningError, held
from node.state import Store
from tests.forge import DAY, Mesh, at, single
from tests.node.crash import crashes
from tests.node.rig import adopted, approval, compiled, invite, joined, member, now


@pytest.fixture
def mesh() -> Mesh:
    """A mesh."""
    return Mesh()


def files(folder: Path) -> set[str]:
    """Return the names of what is in a folder."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_an_invite_makes_a_device_of_its_ticket(tmp_path: Path, mesh: Mesh) -> None:
    """Name, tags, owner and address are the ticket's; both keys have signed."""
    ticket = mesh.ticket(
        name="db1", uses=1, tags=("prod",), owner="alice", addresses=single("100.64.7.7")
    )
    done = enrol.join(paths.given(tmp_path / "n"), invite(mesh, ticket), now(mesh), name="")
    assert done.fresh
    assert (done.mesh_name, done.device.name) == ("hedge", "db1")
    assert (done.device.tags, done.device.owner) == (("prod",), "alice")
    assert done.device.address4 == IPv4Address("100.64.7.7")
    assert done.device.ticket == ticket.id


def test_an_ephemeral_invite_makes_a_device_that_ends(tmp_path: Path, mesh: Mesh) -> None:
    """It ends as many minutes after it was issued as the ticket says."""
    ticket = mesh.ticket(name="ci", uses=1, ephemeral_minutes=30)
    done = enrol.join(paths.given(tmp_path / "n"), invite(mesh, ticket), now(mesh), name="")
    assert done.device.not_after == done.device.issued + 30 * 60


def test_what_was_joined_can_be_started(tmp_path: Path, mesh: Mesh) -> None:
    """The state file restores to the same device, with a member to join through."""
    places, device = joined(tmp_path / "n", mesh)
    with Store(places.database) as store:
        found = restore.load(store, now(mesh))
        assert found.device == device
        assert found.trust.mesh_id == mesh.mesh_id
        assert found.refused == ()
        assert store.members() == (member(),)
    keys = keystore.load(places.state)
    assert keys is not None
    assert keys.device_id == device.device_id


def test_a_member_that_sees_the_device_can_sponsor_it(tmp_path: Path, mesh: Mesh) -> None:
    """The envelope that joining made stands up elsewhere, and may be sponsored."""
    founder = mesh.device("founder")
    ticket = mesh.ticket(name="db1", uses=1)
    places = paths.given(tmp_path / "n")
    enrol.join(places, invite(mesh, ticket), now(mesh), name="")
    with Store(places.database) as store:
        raw = restore.load(store, now(mesh)).device_raw
    trust = mesh.trust(founder, ticket, raw)
    identity = signing.object_id(signing.decode(raw).payload)
    assert trust.may_sponsor(identity, founder.body.device_id, now(mesh))[0]


def test_t57_the_folder_and_its_files_are_the_owners_alone(tmp_path: Path, mesh: Mesh) -> None:
    """T57: folder 0700, key and state 0600."""
    places, _ = joined(tmp_path / "n", mesh)
    assert stat.S_IMODE(places.state.stat().st_mode) == 0o700
    for file in places.state.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello", "not an invite"),
        ("hgq1AAAA", "request"),
        ("hgr1AAAA", "cut off|damaged|truncated"),
        ("hgr1!!!!", "invite"),
    ],
)
def test_a_text_that_is_no_invite_is_refused_by_name(text: str, says: str) -> None:
    """Each way of being wrong has words of its own."""
    with pytest.raises(InviteError, match=says):
        Invite.decode(text)


def test_a_damaged_invite_is_refused(mesh: Mesh) -> None:
    """A changed letter and a missing end are told apart, and nothing is believed."""
    text = invite(mesh, mesh.ticket()).encode()
    changed = text[:100] + ("A" if text[100] != "A" else "B") + text[101:]
    messages = set()
    for broken in (changed, text[:-20]):
        with pytest.raises(InviteError) as caught:
            Invite.decode(broken)
        messages.add(str(caught.value))
    assert len(messages) == 2


def test_an_expired_invite_writes_nothing(tmp_path: Path, mesh: Mesh) -> None:
    """The message names the instant, the remedy an admin or the clock."""
    ticket = mesh.ticket(not_after=mesh.now + DAY)
    folder = tmp_path / "n"
    with pytest.raises(InviteError, match=r"ended at 2027-01-16T08:00:00Z") as caught:
        enrol.join(
            paths.given(folder), invite(mesh, ticket), at(mesh.now + 2 * DAY), name="laptop"
        )
    assert "new one" in caught.value.remedy
    assert files(folder) == set()


def test_an_invite_of_a_forged_ticket_writes_nothing(tmp_path: Path, mesh: Mesh) -> None:
    """A ticket that the registrar did not sign is refused before anything is written."""
    ticket = mesh.ticket(seeds=mesh.seeds("revoker"))
    folder = tmp_path / "n"
    with pytest.raises(InviteError, match="this invite cannot be used"):
        enrol.join(paths.given(folder), invite(mesh, ticket), now(mesh), name="laptop")
    assert files(folder) == set()


@pytest.mark.parametrize("name", ["", "Bad Name", "-x", "ä", "x" * 64])
def test_a_name_that_no_device_may_have_writes_nothing(
    tmp_path: Path, mesh: Mesh, name: str
) -> None:
    """The remedy says which names there are."""
    folder = tmp_path / "n"
    with pytest.raises(LocalError, match="cannot be a device's name") as caught:
        enrol.join(paths.given(folder), invite(mesh, mesh.ticket()), now(mesh), name=name)
    assert "--name" in caught.value.remedy
    assert files(folder) == set()


def test_another_name_than_the_tickets_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """Who asks for a name hears that the invite has one."""
    ticket = mesh.ticket(name="db1", uses=1)
    with pytest.raises(LocalError, match="for the name 'db1', not 'db2'"):
        enrol.join(paths.given(tmp_path / "n"), invite(mesh, ticket), now(mesh), name="db2")


def test_joining_the_same_mesh_again_changes_nothing_but_the_members(
    tmp_path: Path, mesh: Mesh
) -> None:
    """A second invite of the mesh brings members to join through, and no second device."""
    places, device = joined(tmp_path / "n", mesh)
    again = enrol.join(places, invite(mesh, mesh.ticket("other")), now(mesh), name="other")
    assert not again.fresh
    assert again.device == device


def test_another_mesh_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """One folder is one membership; the remedy names --state."""
    places, device = joined(tmp_path / "n", mesh)
    other = Mesh("other")
    with pytest.raises(enrol.OtherMemberError, match="another mesh") as caught:
        enrol.join(places, invite(other, other.ticket()), now(other), name="x")
    assert "--state" in caught.value.remedy
    with Store(places.database) as store:
        assert restore.own_device(store) == device


def test_joining_while_a_daemon_runs_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """The folder's lock is the daemon's."""
    folder = tmp_path / "n"
    folder.mkdir()
    with held(folder / "lock"), pytest.raises(AlreadyRunningError):
        enrol.join(paths.given(folder), invite(mesh, mesh.ticket()), now(mesh), name="x")


def test_a_request_and_its_approval(tmp_path: Path, mesh: Mesh) -> None:
    """Keys are made once; the approval's bundle is there at the first start."""
    places = paths.given(tmp_path / "n")
    asked = enrol.request(places, name="db1")
    assert enrol.request(places, name="db1") == asked
    device = approved(mesh, asked.device_id, places)
    parts = compiled()
    head = mesh.head(parts=parts)
    answer = approval(mesh, device, head.raw, parts=tuple(parts.values()))
    done = enrol.approve(places, answer, now(mesh), requested=places)
    assert (done.fresh, done.device.name) == (True, "db1")
    with Store(places.database) as store:
        found = restore.load(store, now(mesh))
    assert found.trust.devices(now(mesh)).keys() == {asked.device_id}
    ready = found.trust.ready()
    assert ready is not None
    assert ready.parts == parts


def approved(mesh: Mesh, device_id: bytes, places: paths.Paths) -> bytes:
    """Sign the device whose keys are in a folder, as an admin does."""
    keys = keystore.load(places.state)
    assert keys is not None
    assert keys.device_id == device_id
    return mesh.device(
        "db1",
        device_id=keys.device_id,
        wireguard_public=keys.wireguard_public,
        gossip_public=keys.gossip_public,
        address6=overlay6(mesh.mesh_id, keys.device_id),
    ).raw


def test_an_approval_moves_the_keys_from_where_they_waited(tmp_path: Path, mesh: Mesh) -> None:
    """Without --state the request waits beside the meshes until its mesh is known."""
    pending, places = paths.given(tmp_path / "p"), paths.given(tmp_path / "hedge")
    asked = enrol.request(pending, name="db1")
    answer = approval(mesh, approved(mesh, asked.device_id, pending))
    assert enrol.mesh_name(answer) == "hedge"
    done = enrol.approve(places, answer, now(mesh), requested=pending)
    assert done.device.device_id == asked.device_id
    keys = keystore.load(places.state)
    assert keys is not None
    assert keys.device_id == asked.device_id
    assert enrol.request(pending, name="db1").device_id != asked.device_id


def test_an_approval_for_another_device_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """The remedy is to give it to the right machine."""
    places = paths.given(tmp_path / "n")
    enrol.request(places, name="db1")
    with pytest.raises(InviteError, match="another device") as caught:
        enrol.approve(places, approval(mesh, mesh.device("x").raw), now(mesh), requested=places)
    assert "machine that made the request" in caught.value.remedy


def test_an_approval_without_a_request_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """The remedy is to make one."""
    places = paths.given(tmp_path / "n")
    with pytest.raises(LocalError, match="no request was made") as caught:
        enrol.approve(places, approval(mesh, mesh.device("x").raw), now(mesh), requested=places)
    assert "--request" in caught.value.remedy


def test_a_request_in_a_joined_folder_is_refused(tmp_path: Path, mesh: Mesh) -> None:
    """A member asks for nothing."""
    places, _ = joined(tmp_path / "n", mesh)
    with pytest.raises(enrol.OtherMemberError, match="already belongs to a mesh"):
        enrol.request(places, name="db1")


def test_addresses_of_a_range_are_spread_and_never_its_ends() -> None:
    """Many devices of one ticket get hosts of its range, each always the same."""
    network = IPv4Network("100.64.0.0/24")
    ids = [DeviceKeys.generate(os.urandom).device_id for _ in range(300)]
    chosen = {each: address.choose(network, bytes(32), each) for each in ids}
    assert all(each in network for each in chosen.values())
    assert not {network[0], network[-1]} & set(chosen.values())
    assert len(set(chosen.values())) > 100
    assert all(address.choose(network, bytes(32), each) == chosen[each] for each in ids[:10])


@pytest.mark.parametrize("network", ["100.64.0.9/32", "100.64.0.8/31"])
def test_small_ranges_are_used_whole(network: str) -> None:
    """One or two addresses have no ends to leave out."""
    addresses = IPv4Network(network)
    assert address.choose(addresses, bytes(32), bytes(range(32))) in addresses


def test_a_clock_that_runs_ahead_delays_nothing(tmp_path: Path, mesh: Mesh) -> None:
    """The device is valid from its ticket's issue on, whatever our clock says."""
    ticket = mesh.ticket()
    done = enrol.join(
        paths.given(tmp_path / "n"), invite(mesh, ticket), at(mesh.now + 3_600), name="x"
    )
    assert done.device.not_before == ticket.body.issued
    assert done.device.issued == mesh.now + 3_600


@pytest.mark.slow
def test_t25_a_crash_at_any_line_of_a_join_leaves_none_or_all(tmp_path: Path, mesh: Mesh) -> None:
    """T25: kill -9 at every line; the folder has not joined or has, and joining again works."""
    ticket = mesh.ticket(name="db1", uses=1)
    made = invite(mesh, ticket)
    places = paths.given(tmp_path / "n")

    def join() -> Device:
        return enrol.join(places, made, now(mesh), name="").device

    outcomes = set()
    for _ in crashes(join, "node.enrol", "node.keystore", "node.state", "node.admin.files"):
        is_joined = False
        if places.database.exists():
            with Store(places.database) as store:
                is_joined = restore.is_member(store)
                if is_joined:
                    keys = keystore.load(places.state)
                    assert keys is not None
                    assert restore.load(store, now(mesh)).device.device_id == keys.device_id
        outcomes.add(is_joined)
        for file in files(places.state):
            (places.state / file).unlink()
    assert outcomes == {False, True}
    device = join()
    assert device.name == "db1"


def test_a_join_after_a_crash_uses_the_key_that_is_there(tmp_path: Path, mesh: Mesh) -> None:
    """An interrupted attempt costs no second key, so no second use of the ticket."""
    places = paths.given(tmp_path / "n")
    places.state.mkdir()
    keys = DeviceKeys.generate(os.urandom)
    keystore.save(places.state, keys)
    done = enrol.join(places, invite(mesh, mesh.ticket()), now(mesh), name="x")
    assert done.device.device_id == keys.device_id


def test_a_bundle_adopted_is_in_force_at_the_next_start(tmp_path: Path, mesh: Mesh) -> None:
    """The state file alone is enough to know what is allowed."""
    places, _ = joined(tmp_path / "n", mesh)
    parts = compiled()
    adopted(places, mesh, mesh.head(parts=parts), parts)
    with Store(places.database) as store:
        found = restore.load(store, Interval.exact(mesh.now + 365 * DAY))
    assert found.bundle is not None
    assert found.bundle.policy.mesh == "hedge"
    assert found.trust.freshness(Interval.exact(mesh.now + 365 * DAY)) == "expired"
