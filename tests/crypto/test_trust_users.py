"""Revoking a user takes along every device of theirs, whoever says that it is theirs."""

from crypto.objects import Device, Directory, DirectoryDevice, RevokeKind
from tests.forge import Forged, Mesh, at, seed

GONE = "its owner alice is revoked"


def owned(device: Forged[Device], *, pinned: bool) -> Directory:
    """Return a directory that gives a device to alice, by its key or by its name alone."""
    key = device.body.device_id if pinned else None
    return Directory(devices={device.body.name: DirectoryDevice(key, (), "alice")})


def test_t36_a_device_that_the_directory_gives_to_a_revoked_user_is_out() -> None:
    """The device's own object need not name the owner for the owner's end to be its end."""
    mesh = Mesh()
    laptop, other = mesh.device("laptop"), mesh.device("other")
    trust = mesh.trust(laptop, other)
    trust.set_directory(owned(laptop, pinned=True))
    trust.admit(mesh.revoke(RevokeKind.USER, "alice").raw, at(mesh.now + 100))
    assert trust.device_state(laptop.body.device_id, at(mesh.now + 100)) == (False, GONE)
    assert list(trust.devices(at(mesh.now + 100))) == [other.body.device_id]


def test_t36_a_name_that_the_directory_gives_to_a_revoked_user_is_out() -> None:
    """An entry without a key speaks of the device to which an admin gave that name."""
    mesh = Mesh()
    laptop = mesh.device("laptop")
    trust = mesh.trust(mesh.revoke(RevokeKind.USER, "alice"), laptop)
    trust.set_directory(owned(laptop, pinned=False))
    assert trust.device_state(laptop.body.device_id, at(mesh.now + 100)) == (False, GONE)


def test_t36_the_directory_does_not_save_a_revoked_users_device() -> None:
    """A device that its object gives to alice is out, although the directory gives it to bob."""
    mesh = Mesh()
    laptop = mesh.device("laptop", owner="alice")
    trust = mesh.trust(laptop, mesh.revoke(RevokeKind.USER, "alice"))
    named = DirectoryDevice(laptop.body.device_id, (), "bob")
    trust.set_directory(Directory(devices={"laptop": named}))
    assert trust.device_state(laptop.body.device_id, at(mesh.now + 100)) == (False, GONE)


def test_t36_the_word_of_a_revoked_users_device_ends_too() -> None:
    """What it vouches for from then on is worth nothing, as when its object names the owner."""
    mesh = Mesh()
    laptop, ticket = mesh.device("laptop"), mesh.ticket("guests")
    guest = mesh.device("guest", ticket)
    said = mesh.sponsor(guest, laptop, at=mesh.now + 70)
    trust = mesh.trust(laptop, ticket, guest, said)
    trust.set_directory(owned(laptop, pinned=True))
    assert guest.body.device_id in trust.devices(at(mesh.now + 100))
    trust.admit(mesh.revoke(RevokeKind.USER, "alice").raw, at(mesh.now + 100))
    assert guest.body.device_id not in trust.devices(at(mesh.now + 100))


def test_a_name_that_a_device_chose_for_itself_is_nobodys() -> None:
    """Taking the name of a gone user's machine does not take a device along."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket("guests")
    guest = mesh.device("guest", ticket)
    trust = mesh.trust(founder, ticket, guest, mesh.sponsor(guest, founder))
    trust.set_directory(owned(guest, pinned=False))
    trust.admit(mesh.revoke(RevokeKind.USER, "alice").raw, at(mesh.now + 100))
    assert trust.device_state(guest.body.device_id, at(mesh.now + 100))[0]


def test_t36_it_is_the_same_whichever_comes_first() -> None:
    """Directory and revocation may come in either order, and be replaced."""
    mesh = Mesh()
    laptop = mesh.device("laptop")
    trust = mesh.trust(
        laptop, mesh.revoke(RevokeKind.USER, "alice", seeds=[seed("hedge revoker")])
    )
    moment = at(mesh.now + 100)
    assert trust.device_state(laptop.body.device_id, moment)[0]
    trust.set_directory(owned(laptop, pinned=True))
    assert not trust.device_state(laptop.body.device_id, moment)[0]
    trust.set_directory(Directory())
    assert trust.device_state(laptop.body.device_id, moment)[0]
