"""Ten thousand devices: what is added is added in place, and nothing is worked out twice."""

from __future__ import annotations

import pytest

from crypto.objects import SignedObject
from crypto.trust import Trust
from crypto.trust.enrolment import Enrolment
from tests.forge import NOW, Forged, Mesh, at

LATER = at(NOW + 100)


def crowd(mesh: Mesh, size: int) -> list[Forged[SignedObject]]:
    """Return ten founders and this many guests, half with a ticket of their own."""
    founders = mesh.company(10)
    many = mesh.ticket("many", uses=size)
    objects: list[Forged[SignedObject]] = [*founders, many]
    for number in range(size):
        ticket = mesh.ticket(number, uses=1) if number % 2 else many
        guest = mesh.device(f"guest {number}", ticket)
        word = mesh.sponsor(guest, founders[number % 10], at=NOW + number % 60)
        objects += [ticket, guest, word]
    return objects


def join(monkeypatch: pytest.MonkeyPatch, size: int) -> tuple[Trust, list[int]]:
    """Return a trust that a crowd has joined, and the list that counts rebuilds."""
    rebuilds: list[int] = []
    rebuild = Enrolment.rebuild

    def counted(self: Enrolment) -> None:
        rebuilds.append(len(self.nodes))
        rebuild(self)

    monkeypatch.setattr(Enrolment, "rebuild", counted)
    mesh = Mesh()
    return mesh.trust(*crowd(mesh, size)), rebuilds


def test_a_crowd_joins_and_restarts_without_working_anything_out_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither admission nor a restart costs more per device when there are more devices."""
    trust, rebuilds = join(monkeypatch, 200)
    assert len(trust.devices(LATER)) == 210
    restored = Trust.restore([raw for _, _, raw in trust.objects()], LATER)
    assert restored.refused == ()
    assert restored.trust.devices(LATER) == trust.devices(LATER)
    assert rebuilds == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mesh that the bounds are made for fits, and its view is worked out once."""
    trust, rebuilds = join(monkeypatch, 10_000)
    view = trust.devices(LATER)
    assert len(view) == 10_010
    assert trust.devices(at(NOW + 10_000)) is view
    assert rebuilds == []
