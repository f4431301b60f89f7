"""T26: a clock that was ahead once locks no tunnel for good."""

from dataclasses import dataclass, field

from node.engine.lockout import (
    NEW_LIFE_SECONDS,
    RENEW_SECONDS,
    SESSION_SECONDS,
    Advice,
    Lockout,
    Sight,
)

KEY, OTHER = b"k" * 32, b"o" * 32
LOOK = 90.0
NOTHING = Advice(frozenset(), frozenset(), new_life=False)


@dataclass
class Rig:
    """One peer that is looked at every minute and a half."""

    lockout: Lockout = field(default_factory=Lockout)
    now: float = 1_000.0
    sight: Sight = field(default_factory=lambda: Sight(True, 1, 500.0, 10_000))

    def look(
        self,
        *,
        sent: int = 0,
        shaken: bool = False,
        reachable: bool = True,
        boot: int | None = 1,
        after: float = LOOK,
    ) -> Advice:
        """Let time pass and look."""
        self.now += after
        handshake = self.sight.handshake + (after if shaken else 0.0)
        self.sight = Sight(reachable, boot, handshake, self.sight.tx + sent)
        return self.lockout.look(self.now, {KEY: self.sight})


def test_handshakes_in_vain_are_noticed() -> None:
    """Bytes go out, the peer is there, and no handshake for as long as a session lives."""
    rig = Rig()
    advice = [rig.look(sent=148 * 18) for _ in range(5)]
    assert advice[:4] == [NOTHING] * 4
    assert advice[4] == Advice(frozenset({KEY}), frozenset({KEY}), new_life=True)


def test_an_idle_tunnel_is_left_alone() -> None:
    """Nothing is sent, so nothing is missed, however old the last handshake is."""
    rig = Rig()
    assert {rig.look() for _ in range(50)} == {NOTHING}


def test_a_busy_tunnel_is_left_alone() -> None:
    """Bytes go out, and handshakes are completed."""
    rig = Rig()
    assert {rig.look(sent=10**6, shaken=True) for _ in range(50)} == {NOTHING}


def test_a_responder_that_sends_is_left_alone() -> None:
    """It does not begin handshakes itself, so a session may carry its data to the last second."""
    rig = Rig()
    assert {rig.look(sent=10**6, shaken=number % 3 == 0) for number in range(60)} == {NOTHING}


def test_a_peer_that_is_away_is_left_alone() -> None:
    """What does not answer gossip either is not locked: it is not there."""
    rig = Rig()
    assert {rig.look(sent=148, reachable=False) for _ in range(50)} == {NOTHING}


def test_a_single_packet_now_and_then_is_no_complaint() -> None:
    """It takes two looks in a row with something sent."""
    rig = Rig()
    assert {rig.look(sent=148 * (number % 2)) for number in range(50)} == {NOTHING}


def test_renewal_and_new_lives_are_rare() -> None:
    """Where it helps nothing it does no harm either."""
    rig = Rig()
    advice = [rig.look(sent=148) for _ in range(200)]
    seconds = 200 * LOOK
    assert 1 < sum(bool(each.renew) for each in advice) <= seconds / RENEW_SECONDS + 1
    assert 1 < sum(each.new_life for each in advice) <= seconds / NEW_LIFE_SECONDS + 1


def test_a_peer_in_a_new_life_is_renewed_once_when_no_session_is_alive() -> None:
    """The end that refuses learns of it so; it need not send anything."""
    rig = Rig()
    rig.look()
    assert rig.look(boot=2, shaken=True) == NOTHING
    assert rig.look(boot=2) == NOTHING
    assert rig.look(boot=2).renew == {KEY}
    assert {rig.look(boot=2) for _ in range(50)} == {NOTHING}


def test_a_peer_with_a_session_is_never_touched() -> None:
    """A restart of its daemon cuts nothing."""
    rig = Rig()
    rig.look(sent=100, shaken=True)
    assert {rig.look(sent=100, shaken=True, boot=2) for _ in range(20)} == {NOTHING}


def test_a_life_that_was_not_seen_beginning_is_compared_with_the_last_one_seen() -> None:
    """A peer that gossip forgot meanwhile, and that comes back, is in a new life too."""
    rig = Rig()
    rig.look()
    for _ in range(3):
        rig.look(boot=None, reachable=False)
    assert rig.look(boot=2).renew == {KEY}


def test_a_peer_that_was_just_added_counts_as_new() -> None:
    """After a renewal it gets the time of a session, as at the first sight."""
    rig = Rig()
    while not rig.look(sent=148).renew:
        pass
    rig.sight = Sight(reachable=True, boot_ms=1, handshake=0.0, tx=0)
    assert rig.lockout.look(rig.now + 1, {KEY: rig.sight}).renew == frozenset()


def test_peers_that_are_gone_are_forgotten() -> None:
    """Memory follows the peers that are set up."""
    rig = Rig()
    rig.look()
    rig.lockout.look(rig.now + SESSION_SECONDS, {OTHER: rig.sight})
    assert set(rig.lockout._peers) == {OTHER}
