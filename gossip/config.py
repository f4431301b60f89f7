"""Every number the gossip core runs by, with the formula behind it.

`Config.for_lan(n)` and `Config.for_wan(n)` give the two presets. What depends on the size of the
group *now* is a method that takes that size, so a mesh that grows needs no new configuration.
Bounds on what one valid member can cost stand in `gossip.limits`.
"""

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Config:
    """Timers and factors. Seconds are virtual: whatever unit `now` counts in.

    Attributes:
        probe_interval_seconds: One probe is started each interval; (health + 1) x this.
        probe_timeout_seconds: Wait for a direct ack before asking others; (health + 1) x this.
        indirect_probes: Members asked to probe for us (SWIM section 3.1, k).
        nack_share: A relay says "no answer" after this share of the round that is left
            (Lifeguard section IV.A; memberlist's nack comes too late to count).
        health_max: Upper end of the local health score (Lifeguard's S).
        late_tick_share: A tick later than this share of the probe interval is our own fault and
            costs one point of health.
        observers: Members whose accusations of one subject count (Rapid's K).
        accusations_needed: Distinct accusers for "dead": min(this, others), at least 1.
        suspicion_floor_seconds: The least time between suspicion and "dead".
        suspicion_spreads: Suspicion lasts max(floor, this x spread(n) x 2) x (health + 1).
        refute_gap_seconds: The least time between two new records of our own.
        transmit_multiplier: An item is sent transmit_multiplier x ceil(log10(n + 1)) times.
        urgent_multiplier: Factor on that for revocations, heads and refutations.
        fanout: Peers a fresh item goes to at once.
        round_gap_seconds: Wait between two rounds of repeats; no timer runs without an item.
        degree_base: Sessions to hold: min(n, degree_base + 2 x ceil(log2(n))).
        degree_gap_seconds: Wait between two attempts to reach that number.
        sync_gap_seconds: Wait between two rounds of reconciliation with one peer; doubles with
            each round that brought nothing, up to sync_gap_max_seconds.
        sync_gap_max_seconds: See there.
        pull_timeout_seconds: An object or chunk asked for and not here by then is asked again.
        punch_delays_seconds: When, after the start of an attempt, hellos go to all candidates.
        punch_backoff_seconds: Waits between later attempts at a wanted peer; the last repeats.
        punch_restart_gap_seconds: The least time between two attempts at one peer.
        contact_backoff_seconds: First wait between contacts with the dead; doubles.
        contact_backoff_max_seconds: And stays here, for ever.
        keepalive_seconds: A kept path that was silent this long is pinged (drawn from
            0.75..1 of it); 20 s is below the 30 s that Linux gives an unanswered UDP flow.
        keepalive_retry_seconds: Wait for the answer, and between retries.
        keepalive_tries: Unanswered pings after which the path is lost.
        anchors: Paths a node keeps open although nobody wants them.
        observed_seconds: How long a peer's view of our address counts.
        hello_ahead_seconds: Hellos from further in the future are refused.
        record_ahead_seconds: So are records booted further in the future.
        alone_seconds: Silence of everybody for this long is an alarm.
        rotate_seconds: Age at which the session key is replaced.
        rotate_overlap_seconds: How long the key before it is still accepted.
        rotate_settle_seconds: How long after a change we still send under the old key.
        refresh_seconds: The longest time between two looks at who is in force.
    """

    probe_interval_seconds: float = 1.0
    probe_timeout_seconds: float = 0.3
    indirect_probes: int = 3
    nack_share: float = 0.8
    health_max: int = 8
    late_tick_share: float = 0.25
    observers: int = 10
    accusations_needed: int = 3
    suspicion_floor_seconds: float = 1.5
    suspicion_spreads: float = 4.0
    refute_gap_seconds: float = 0.5
    transmit_multiplier: int = 4
    urgent_multiplier: int = 2
    fanout: int = 4
    round_gap_seconds: float = 0.05
    degree_base: int = 3
    degree_gap_seconds: float = 0.25
    sync_gap_seconds: float = 0.25
    sync_gap_max_seconds: float = 60.0
    pull_timeout_seconds: float = 0.5
    punch_delays_seconds: tuple[float, ...] = (0.0, 0.1, 0.3)
    punch_backoff_seconds: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0, 24.0, 30.0)
    punch_restart_gap_seconds: float = 1.5
    contact_backoff_seconds: float = 5.0
    contact_backoff_max_seconds: float = 60.0
    keepalive_seconds: float = 20.0
    keepalive_retry_seconds: float = 1.0
    keepalive_tries: int = 3
    anchors: int = 3
    observed_seconds: float = 300.0
    hello_ahead_seconds: float = 120.0
    record_ahead_seconds: float = 300.0
    alone_seconds: float = 30.0
    rotate_seconds: float = 86_400.0
    rotate_overlap_seconds: float = 3_600.0
    rotate_settle_seconds: float = 60.0
    refresh_seconds: float = 30.0

    @classmethod
    def for_lan(cls, n: int) -> Self:
        """Return the preset for links of a few milliseconds.

        fanout = 4 up to 100 members, then ceil(log2(n)) / 2 + 1; everything else as above.
        """
        return cls(fanout=_fanout(n))

    @classmethod
    def for_wan(cls, n: int) -> Self:
        """Return the preset for links of up to 300 ms.

        probe interval 2 s, timeout 1 s (three long round trips), suspicion floor 3 s, repeats
        every 200 ms, pulls repeated after 1.5 s; fanout as for_lan.
        """
        return cls(
            probe_interval_seconds=2.0,
            probe_timeout_seconds=1.0,
            suspicion_floor_seconds=3.0,
            round_gap_seconds=0.2,
            sync_gap_seconds=0.5,
            pull_timeout_seconds=1.5,
            keepalive_retry_seconds=1.5,
            fanout=_fanout(n),
        )

    def transmit_limit(self, n: int, *, urgent: bool) -> int:
        """Return how often one item is sent: multiplier x ceil(log10(n + 1)), urgent doubled."""
        times = self.transmit_multiplier * max(1, math.ceil(math.log10(n + 1)))
        return times * self.urgent_multiplier if urgent else times

    def degree(self, n: int) -> int:
        """Return how many sessions to hold among n others: min(n, base + 2 x ceil(log2(n)))."""
        return min(n, self.degree_base + 2 * math.ceil(math.log2(max(1, n))))

    def spread_seconds(self, n: int, round_trip_seconds: float) -> float:
        """Return how long news takes: half a round trip for each of ceil(log_fanout(n)) + 1 hops.

        One repeat is added, for the members that the first round missed.
        """
        hops = math.ceil(math.log(max(2, n), self.fanout)) + 1
        return hops * round_trip_seconds / 2 + self.round_gap_seconds

    def suspicion_seconds(self, n: int, round_trip_seconds: float, health: int) -> float:
        """Return the least life of a suspicion: the time an accused needs to answer, four-fold.

        max(floor, spreads x (accusation out + refutation back)) x (health + 1): measured, so it
        is short where news is fast (facts: kinship and memberlist wait 4 x log10(n) s anyway).
        """
        answer = 2 * self.spread_seconds(n, round_trip_seconds)
        wait = max(self.suspicion_floor_seconds, self.suspicion_spreads * answer)
        return wait * (health + 1)


def _fanout(n: int) -> int:
    return 4 if n <= 100 else math.ceil(math.log2(n)) // 2 + 1
