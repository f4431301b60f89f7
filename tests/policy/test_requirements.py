"""The conditions that look at facts: three values, exact deadlines, and words for a person."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.clock import Interval
from policy.conditions import Condition, LoggedIn, Truth, after
from policy.facts import NOTHING_KNOWN, DeviceFacts, FactValue, Login, Place, PostureReport, Via
from policy.places import PlaceSet
from policy.posture import Posture, parse_check
from policy.records import Reason
from policy.requirements import InPlace, InPosture, InWindow, OverPath, SeveralFactors
from tests.policy.build import OKTA, RANDOM, device_facts

NOW = 1_000_000
LOGIN = Login(
    "okta",
    "1",
    iat=NOW - 60,
    exp=NOW + 600,
    original_iat=NOW - 3_600,
    auth_time=NOW - 3_600,
    amr=frozenset({"hwk"}),
)
HOUR = SeveralFactors(3_600, {"okta": OKTA})
HEALTHY = InPosture(
    "healthy",
    Posture(
        1_800,
        tuple(
            sorted(
                map(parse_check, ["disk.encrypted == true", "os.patch_age_days <= 30"]), key=str
            )
        ),
    ),
)
GOOD: dict[str, FactValue] = {"disk.encrypted": True, "os.patch_age_days": 30}
HOME = InPlace(("home",), (PlaceSet(("IN",), (ip_network("203.0.113.0/24"),)),))


def logged_in(**changes: object) -> DeviceFacts:
    """Return the facts of a device with a login."""
    return DeviceFacts(replace(LOGIN, **changes))  # type: ignore[arg-type] # fields by name


def judged(
    condition: Condition, facts: DeviceFacts, at: float = NOW
) -> tuple[Truth, float | None, Reason]:
    """Return what a condition says at an instant."""
    verdict = condition.judge(facts, Interval.exact(at))
    assert (verdict.value is Truth.TRUE) == (not verdict.condition) == (not verdict.remedy)
    return verdict.value, verdict.valid_until, verdict.reason


@pytest.mark.parametrize(("age", "value"), [(3_599, True), (3_600, True), (3_601, False)])
def test_t33_a_proof_of_exactly_its_age_is_young_enough(age: int, *, value: bool) -> None:
    """59:59 and 60:00 are within an hour, 60:01 is not, and the deadline lies between (T33)."""
    truth, until, reason = judged(HOUR, logged_in(auth_time=NOW - age))
    assert (truth is Truth.TRUE) is value
    if value:
        end = NOW - age + 3_600
        assert until == after(end)
        assert end < after(end) < end + 1e-6
    else:
        assert (truth, until, reason) == (Truth.FALSE, None, Reason.MFA_STALE)


@pytest.mark.parametrize(
    ("facts", "truth", "reason"),
    [
        (NOTHING_KNOWN, Truth.UNKNOWN, Reason.NO_TOKEN),
        (logged_in(auth_time=None), Truth.UNKNOWN, Reason.MFA_STALE),
        (logged_in(auth_time=NOW), Truth.UNKNOWN, Reason.MFA_STALE),
        (logged_in(issuer="other"), Truth.UNKNOWN, Reason.MFA_STALE),
        (logged_in(amr=frozenset({"pwd"})), Truth.FALSE, Reason.MFA_STALE),
        (logged_in(amr=frozenset(), acr="weak"), Truth.FALSE, Reason.MFA_STALE),
        (logged_in(amr=frozenset(), acr="strong"), Truth.TRUE, Reason.ALLOWED),
    ],
)
def test_a_proof_needs_a_time_and_several_factors(
    facts: DeviceFacts, truth: Truth, reason: Reason
) -> None:
    """No token, no auth_time, one after the token, and one factor alone are not enough."""
    assert judged(HOUR, facts)[::2] == (truth, reason)


def test_a_refresh_is_no_new_proof() -> None:
    """A later token of the same login leaves the age of the proof as it was (T34)."""
    fresh = judged(HOUR, logged_in(iat=NOW, exp=NOW + 3_600))
    assert fresh == judged(HOUR, logged_in())


def test_a_proof_from_the_future_is_unknown_until_it_is_near() -> None:
    """More than a minute ahead two clocks disagree; the condition says when it may be so."""
    facts = logged_in(auth_time=NOW + 100, iat=NOW + 100)
    assert judged(HOUR, facts) == (Truth.UNKNOWN, NOW + 40, Reason.MFA_STALE)
    assert judged(HOUR, facts, NOW + 40)[0] is Truth.TRUE


def test_a_clock_that_straddles_the_age_grants_nothing() -> None:
    """The late end decides, and where the early end differs the answer is Unknown."""
    verdict = HOUR.judge(logged_in(), Interval(NOW - 1, NOW + 1))
    assert (verdict.value, verdict.reason) == (Truth.UNKNOWN, Reason.MFA_STALE)


@pytest.mark.parametrize(
    ("session", "exp", "until"),
    [(7_200, NOW + 600, NOW + 600), (3_700, NOW + 600, after(NOW + 100))],
)
def test_a_login_ends_with_its_token_or_its_session(session: int, exp: int, until: float) -> None:
    """The earlier of the two counts, and a session counts from its first token."""
    condition = LoggedIn("ann", "okta:1", session)
    facts = logged_in(exp=exp)
    assert judged(condition, facts) == (Truth.TRUE, until, Reason.ALLOWED)
    assert judged(condition, facts, until) == (Truth.FALSE, None, Reason.EXPIRED)


def test_a_login_of_another_is_none() -> None:
    """A token of somebody else says nothing about this user."""
    condition = LoggedIn("ann", "okta:2", 7_200)
    assert judged(condition, logged_in()) == (Truth.UNKNOWN, None, Reason.NO_TOKEN)


def test_t38_a_good_report_holds_until_it_is_too_old() -> None:
    """30 minutes are young enough and 31 are Unknown (T38)."""
    facts = DeviceFacts(posture=PostureReport(GOOD, NOW - 1_800))
    assert judged(HEALTHY, facts) == (Truth.TRUE, after(NOW), Reason.ALLOWED)
    assert judged(HEALTHY, facts, NOW + 60) == (Truth.UNKNOWN, None, Reason.POSTURE)
    ahead = DeviceFacts(posture=PostureReport(GOOD, NOW + 61))
    assert judged(HEALTHY, ahead) == (Truth.UNKNOWN, NOW + 1, Reason.POSTURE)


@pytest.mark.parametrize(
    ("change", "truth"),
    [
        ({"os.patch_age_days": 31}, Truth.FALSE),
        ({"os.patch_age_days": -1}, Truth.UNKNOWN),
        ({"os.patch_age_days": True}, Truth.UNKNOWN),
        ({"os.patch_age_days": "30"}, Truth.UNKNOWN),
        ({"disk.encrypted": 1}, Truth.UNKNOWN),
        ({"disk.encrypted": False, "os.patch_age_days": -1}, Truth.FALSE),
    ],
)
def test_t38_a_fact_of_a_wrong_type_is_unknown(change: dict[str, FactValue], truth: Truth) -> None:
    """Wrong types and negative numbers are Unknown, and a fact that is wrong comes first."""
    facts = DeviceFacts(posture=PostureReport(GOOD | change, NOW))
    assert judged(HEALTHY, facts) == (truth, None, Reason.POSTURE)


def test_t38_a_missing_fact_or_report_is_unknown() -> None:
    """What a device does not say is not so (T38)."""
    facts = DeviceFacts(posture=PostureReport({"disk.encrypted": True}, NOW))
    assert judged(HEALTHY, facts) == (Truth.UNKNOWN, None, Reason.POSTURE)
    assert judged(HEALTHY, NOTHING_KNOWN) == (Truth.UNKNOWN, None, Reason.POSTURE)


def test_a_failing_check_is_named() -> None:
    """The condition and the remedy say which fact must be how."""
    facts = DeviceFacts(posture=PostureReport(GOOD | {"disk.encrypted": False}, NOW))
    verdict = HEALTHY.judge(facts, Interval.exact(NOW))
    assert verdict.condition == "the device is healthy: disk.encrypted == true"
    assert verdict.remedy.endswith("make it so that disk.encrypted == true")


def seen(
    address: str = "192.0.2.1", country: str | None = None, path: Via = Via.DIRECT
) -> DeviceFacts:
    """Return the facts of a device at a place."""
    return DeviceFacts(place=Place(ip_address(address), country), path=path)


@pytest.mark.parametrize(
    ("facts", "truth"),
    [
        (seen(country="IN"), Truth.TRUE),
        (seen("203.0.113.9"), Truth.TRUE),
        (seen(country="DE"), Truth.FALSE),
        (seen(), Truth.UNKNOWN),
        (seen("203.0.113.9", path=Via.RELAY), Truth.UNKNOWN),
        (seen("203.0.113.9", path=Via.UNKNOWN), Truth.UNKNOWN),
        (DeviceFacts(path=Via.DIRECT), Truth.UNKNOWN),
    ],
)
def test_t39_a_place_is_seen_or_unknown(facts: DeviceFacts, truth: Truth) -> None:
    """A relay, no entry in the table and no address are Unknown; one of both is enough."""
    value, until, reason = judged(HOME, facts)
    assert (value, until) == (truth, None)
    assert reason is (Reason.ALLOWED if truth is Truth.TRUE else Reason.PLACE)


def test_t39_a_mapped_address_is_the_one_in_it() -> None:
    """An IPv4-mapped IPv6 address is looked up, and compared, as the IPv4 address (T39)."""
    table = {ip_address("203.0.113.9"): "IN"}
    place = Place.seen(ip_address("::ffff:203.0.113.9"), table.get)
    assert place == Place(ip_address("203.0.113.9"), "IN")
    plain = Place.seen(ip_address("2001:db8::1"), lambda _: None)
    assert plain == Place(ip_address("2001:db8::1"))


@pytest.mark.parametrize("asked", [Via.DIRECT, Via.RELAY])
@pytest.mark.parametrize("found", list(Via))
def test_a_path_is_the_one_asked_for(asked: Via, found: Via) -> None:
    """The other one is False, and one that is not known is Unknown."""
    truth, _, reason = judged(OverPath(asked), DeviceFacts(path=found))
    if asked is found:
        assert truth is Truth.TRUE
    else:
        assert truth is (Truth.UNKNOWN if found is Via.UNKNOWN else Truth.FALSE)
        assert reason is Reason.RELAY


OFFICE = InWindow(("office",), ((100, 200), (300, 400)), ((50, 450), (500, 501)))


@pytest.mark.parametrize(
    ("lo", "hi", "truth", "until"),
    [
        (60, 60, Truth.FALSE, 100),
        (99, 100, Truth.UNKNOWN, 101),
        (100, 199, Truth.TRUE, 200),
        (150, 200, Truth.UNKNOWN, 350),
        (200, 200, Truth.FALSE, 300),
        (250, 320, Truth.UNKNOWN, 370),
        (400, 400, Truth.FALSE, None),
        (40, 60, Truth.UNKNOWN, 120),
        (450, 450, Truth.UNKNOWN, None),
        (500, 500, Truth.FALSE, None),
        (600, 600, Truth.UNKNOWN, None),
    ],
)
def test_a_window_needs_the_whole_interval(
    lo: float, hi: float, truth: Truth, until: float | None
) -> None:
    """Where the clock straddles a border, or nothing was worked out, the answer is Unknown."""
    verdict = OFFICE.judge(NOTHING_KNOWN, Interval(lo, hi))
    assert (verdict.value, verdict.valid_until) == (truth, until)
    assert verdict.reason is (Reason.ALLOWED if truth is Truth.TRUE else Reason.WINDOW)


CONDITIONS: list[Condition] = [
    SeveralFactors(100, {"okta": OKTA}),
    LoggedIn("ann", "okta:1", 120),
    InPosture("sound", Posture(50, (parse_check("disk.encrypted == true"),))),
    OFFICE,
    HOME,
    OverPath(Via.DIRECT),
]


@given(st.sampled_from(CONDITIONS), device_facts(), st.sampled_from([0, 0, 1, 7]))
@RANDOM
def test_t70_a_condition_changes_only_at_its_deadline(
    condition: Condition, facts: DeviceFacts, width: float
) -> None:
    """Swept in whole seconds over all borders, the answer stays until `valid_until` (T70)."""
    before = None
    for second in range(40, 560):
        verdict = condition.judge(facts, Interval(second - width, second))
        true = verdict.value is Truth.TRUE
        if before is not None:
            until, was = before
            if until is None or second < until:
                assert true is was
        assert verdict.valid_until is None or verdict.valid_until > second
        before = verdict.valid_until, true
