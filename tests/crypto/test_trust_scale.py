"""Ten thousand devices: what is added is added in place, and nothing is worked out twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Device, SignedObject
from crypto.trust import Trust
from crypto.trust.enrolment import Enrolment
from crypto.trust.standing import Live, Standing
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


def test_devices_that_all_claim_one_address_cost_no_more_than_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The holder of one invite makes no node compare everybody with everybody."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket("many", uses=100)
    trust = mesh.trust(founder, ticket)
    alarms = 0
    guests = [mesh.device(n, ticket, address4=founder.body.address4) for n in range(60)]
    for number, guest in enumerate(guests):
        word = mesh.sponsor(guest, founder, at=NOW + number)
        trust.admit(guest.raw, LATER)
        alarms += len(trust.admit(word.raw, LATER).alarms)
    assert alarms == len(guests)
    looked = 0
    live = Standing._live

    def counted(self: Standing, device_id: bytes, now: Interval) -> Live | str:
        nonlocal looked
        looked += 1
        return live(self, device_id, now)

    monkeypatch.setattr(Standing, "_live", counted)
    assert list(trust.devices(LATER)) == [founder.body.device_id]
    assert looked == len(guests) + 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.booleans()), max_size=12))
def test_all_devices_together_are_those_that_are_in_one_by_one(
    drawn: list[tuple[int, int, bool]],
) -> None:
    """Whoever claims what since when, `devices` and `device_state` agree."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket("many", uses=6)
    address = founder.body.address4 + 1000
    objects: list[Forged[SignedObject]] = [founder, ticket]
    for number, (host, since, approved) in enumerate(drawn):
        given = None if approved else ticket
        name = f"n{host}"
        guest = mesh.device(number, given, address4=address + host, name=name)
        objects += [guest] if approved else [guest, mesh.sponsor(guest, founder, at=NOW + since)]
    trust = mesh.trust(*objects)
    ids = [item.body.device_id for item in objects if isinstance(item.body, Device)]
    assert set(trust.devices(LATER)) == {i for i in ids if trust.device_state(i, LATER)[0]}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mesh that the bounds are made for fits, and its view is worked out once."""
    trust, rebuilds = join(monkeypatch, 10_000)
    view = trust.devices(LATER)
    assert len(view) == 10_010
    assert trust.devices(at(NOW + 10_000)) is view
    assert rebuilds == []
