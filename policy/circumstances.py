"""The sections of a document that say under which circumstances: postures, windows, places."""

import ipaddress
from collections.abc import Mapping

from policy.facts import is_country
from policy.limits import AGE_SECONDS_MAX, PLACE_NETWORKS_MAX, POSTURE_CHECKS_MAX
from policy.locate import Path
from policy.places import PlaceSet, sorted_networks
from policy.posture import Check, Posture, parse_check, satisfying
from policy.selectors import Network, is_name, name_form
from policy.tables import Table
from policy.windows import Window, parse_days, parse_time, parse_zone


def read_postures(root: Table) -> Mapping[str, Posture]:
    """Read `[postures.NAME]`."""
    postures = {}
    for name, table in root.named("postures"):
        _check_name(table, name, "posture")
        max_age = table.duration("max_age", 0, lo=1, hi=AGE_SECONDS_MAX, required=True)
        checks: dict[str, Check] = {}
        for path, text in table.texts("all", required=True, limit=POSTURE_CHECKS_MAX):
            check = _check_at(table, path, text)
            if check is not None:
                checks[str(check)] = check
        table.finish()
        found = tuple(checks[text] for text in sorted(checks))
        if found and satisfying(found) is None:
            table.problem("contradicts itself: no device could ever hold it", "all")
        if max_age and 0 < len(found) <= POSTURE_CHECKS_MAX:
            postures[name] = Posture(max_age, found)
    return postures


def read_windows(root: Table) -> Mapping[str, Window]:
    """Read `[windows.NAME]`."""
    windows = {}
    for name, table in root.named("windows"):
        _check_name(table, name, "window")
        zone = table.parsed("tz", parse_zone)
        days: set[int] = set()
        for path, text in table.texts("days", required=True):
            days |= _days_at(table, path, text)
        start, end = table.parsed("from", parse_time), table.parsed("to", parse_time)
        table.finish()
        if start is not None and start == end:
            table.problem('begins when it ends; for a whole day write "00:00" to "24:00"', "to")
        elif zone is not None and days and start is not None and end is not None:
            windows[name] = Window(zone, frozenset(days), start, end)
    return windows


def read_places(root: Table) -> Mapping[str, PlaceSet]:
    """Read `[places.NAME]`."""
    places = {}
    for name, table in root.named("places"):
        _check_name(table, name, "place")
        countries = []
        for path, text in table.texts("country"):
            if is_country(text):
                countries.append(text)
            else:
                table.report.add(
                    path, f'{table.what} has country "{text}"; write two capital letters, as "IN"'
                )
        networks = read_networks(table, "cidr", limit=PLACE_NETWORKS_MAX)
        table.finish()
        if countries or networks:
            places[name] = PlaceSet(tuple(sorted(countries)), networks)
        elif "country" not in table and "cidr" not in table:
            table.problem("says nothing; add country or cidr")
    return places


def read_networks(
    table: Table, key: str, *, required: bool = False, limit: int | None = None
) -> tuple[Network, ...]:
    """Read a list of networks, sorted; what is wrong in it is reported and left out."""
    found: list[Network] = []
    for path, text in table.texts(key, required=required, limit=limit):
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            table.report.add(path, f"{table.what}: {error}; write for example 10.10.0.0/16")
    return tuple(sorted_networks(found))


def _days_at(table: Table, path: Path, text: str) -> frozenset[int]:
    """Read days, or report what is wrong with them."""
    try:
        return parse_days(text)
    except ValueError as error:
        table.report.add(path, f"{table.what}: {error}")
        return frozenset()


def _check_at(table: Table, path: Path, text: str) -> Check | None:
    """Read a comparison, or report what is wrong with it."""
    try:
        return parse_check(text)
    except ValueError as error:
        table.report.add(path, f"{table.what}: {error}")
        return None


def _check_name(table: Table, name: str, word: str) -> None:
    """Report a table whose name can not be one."""
    if not is_name(name):
        table.problem(f"has no usable name; a {word} is called {name_form()}")
