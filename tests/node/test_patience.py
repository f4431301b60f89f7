"""A head that is signed by a clock ahead of ours is used when its time has come."""

from random import Random

import pytest

from crypto.clock import Interval
from crypto.errors import ExpiredError, ThresholdError
from crypto.identity import DeviceKeys
from crypto.objects import Head
from gossip.config import Config
from gossip.events import Address, Event, ObjectAdmitted
from gossip.machine import Machine
from gossip.messages import SHORT_ID_BYTES
from node.patience import AHEAD_SECONDS_MAX, EARLY_MAX, PatientTrust
from tests.forge import DAY, NOW, Forged, Mesh, at, device_keys


class Sink:
    """Records what the core says."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, address: Address, data: bytes) -> None:
        """Send nothing."""

    def event(self, event: Event) -> None:
        """Record."""
        self.events.append(event)


@pytest.fixture
def mesh() -> Mesh:
    """A mesh with the usual roles."""
    return Mesh()


@pytest.fixture
def trust(mesh: Mesh) -> PatientTrust:
    """Its verified state, as a daemon restores it."""
    found = PatientTrust.restore(mesh.roots, at(NOW)).trust
    assert isinstance(found, PatientTrust)
    return found


def ahead(mesh: Mesh, seconds: float, version: int = 1) -> Forged[Head]:
    """Return a head issued so many seconds after NOW."""
    issued = int(NOW + seconds)
    return mesh.head(version, issued=issued, stale_after=issued + DAY, expires=issued + 2 * DAY)


def test_it_is_offered_again_at_the_very_second(mesh: Mesh, trust: PatientTrust) -> None:
    """The wait is exact, by the late end of the clock, and before it nothing is offered."""
    heard: list[None] = []
    trust.noticed = lambda: heard.append(None)
    head = ahead(mesh, 40)
    with pytest.raises(ExpiredError):
        trust.admit(head.raw, Interval(NOW - 3, NOW + 2))
    assert heard == [None]
    assert trust.early_in(at(NOW)) == 40
    assert trust.early_in(Interval(NOW, NOW + 15)) == 25
    assert trust.take_early(at(NOW + 39)) == ()
    assert trust.take_early(at(NOW + 40)) == (head.raw,)
    assert trust.early_in(at(NOW + 40)) is None
    assert trust.admit(head.raw, at(NOW + 40)).fresh


def test_gossip_that_refused_it_takes_it_then(mesh: Mesh, trust: PatientTrust) -> None:
    """The core remembers the refusal for a minute; what the node offers is asked all the same."""
    me: DeviceKeys = device_keys("n0")
    sink = Sink()
    machine = Machine(
        keys=me,
        trust=trust,
        config=Config.for_wan(1),
        random=Random(1),
        entropy=Random(2).randbytes,
        sink=sink,
        now=0.0,
        boot_ms=NOW * 1000,
    )
    machine.set_clock(float(NOW), uncertainty=0.0)
    head = ahead(mesh, 5)
    machine._core.intake.take(1.0, head.raw, None)
    assert machine._core.intake.is_refused(5.5, head.id[:SHORT_ID_BYTES])
    (raw,) = trust.take_early(at(NOW + 5.5))
    machine.publish(5.5, raw)
    assert (
        ObjectAdmitted(*next((k, i, r) for k, i, r in trust.objects() if r == raw)) in sink.events
    )


def test_what_is_far_ahead_or_not_by_admins_is_not_kept(mesh: Mesh, trust: PatientTrust) -> None:
    """Only what honest clocks explain, and nobody but admins can leave anything here."""
    for seconds, seeds, error in (
        (AHEAD_SECONDS_MAX + 1, mesh.seeds("policy"), ExpiredError),
        (10, mesh.seeds("policy", 1), ThresholdError),
    ):
        issued = int(NOW + seconds)
        forged = mesh.head(
            1, seeds=seeds, issued=issued, stale_after=issued + DAY, expires=issued + 2 * DAY
        )
        with pytest.raises(error):
            trust.admit(forged.raw, at(NOW))
        assert trust.early_in(at(NOW)) is None


def test_an_expired_head_is_not_offered_again(mesh: Mesh, trust: PatientTrust) -> None:
    """Its time has been, and does not come."""
    old = mesh.head(1, issued=NOW - 3 * DAY, stale_after=NOW - 2 * DAY, expires=NOW - DAY)
    with pytest.raises(ExpiredError):
        trust.admit(old.raw, at(NOW))
    assert trust.early_in(at(NOW)) is None


def test_no_more_are_kept_than_the_bound(mesh: Mesh, trust: PatientTrust) -> None:
    """One admin's broken clock fills no memory."""
    for version in range(1, EARLY_MAX + 4):
        with pytest.raises(ExpiredError):
            trust.admit(ahead(mesh, 60, version).raw, at(NOW))
    assert len(trust.take_early(at(NOW + 60))) == EARLY_MAX
