"""What an admin hands to a node."""

import pytest

from crypto.errors import PeerError
from node.publish import publish
from tests.forge import Mesh, at


class Core:
    """A gossip core that admits at once."""

    def __init__(self, mesh: Mesh) -> None:
        self.trust = mesh.trust()
        self.now = at(mesh.now + 100)
        self.parts: list[bytes] = []

    def publish(self, now: float, raw: bytes) -> None:
        """Admit."""
        self.trust.admit(raw, self.now)

    def publish_part(self, now: float, data: bytes) -> bool:
        """Admit."""
        self.parts.append(data)
        return self.trust.admit_part(data)


def test_a_bundle_brings_roots_head_and_parts() -> None:
    """All of it is taken in, and what was news is said."""
    mesh = Mesh()
    core = Core(mesh)
    mesh.next_root()
    bundle = mesh.bundle()
    done = publish(core, core.trust, bundle.encode(), 0.0)
    assert [(str(each.type), each.fresh) for each in done] == [
        ("root", False),
        ("root", True),
        ("head", True),
    ]
    assert core.trust.ready() is not None
    assert sorted(core.parts) == sorted(bundle.parts.values())


def test_one_object_is_taken_in() -> None:
    """A revocation needs no bundle; a second time it is no news."""
    mesh = Mesh()
    core = Core(mesh)
    revocation = mesh.revoke("user", "mallory")
    (first,) = publish(core, core.trust, revocation.raw, 0.0)
    (second,) = publish(core, core.trust, revocation.raw, 0.0)
    assert (first.id, first.fresh, second.fresh) == (revocation.id, True, False)


def test_what_does_not_hold_is_refused() -> None:
    """An older bundle, and one of another mesh, change nothing."""
    mesh = Mesh()
    core = Core(mesh)
    publish(core, core.trust, mesh.bundle(2).encode(), 0.0)
    for data in (mesh.bundle(1).encode(), Mesh("other").bundle(3).encode()):
        with pytest.raises(PeerError):
            publish(core, core.trust, data, 0.0)
    assert core.trust.candidate is not None
    assert core.trust.candidate.version == 2


def test_a_file_that_is_neither_is_named_as_such() -> None:
    """The remedy says which files there are."""
    core = Core(Mesh())
    with pytest.raises(PeerError, match=r"neither a bundle .* nor a signed object") as caught:
        publish(core, core.trust, b"hello", 0.0)
    assert "hedgerow admin" in caught.value.remedy
