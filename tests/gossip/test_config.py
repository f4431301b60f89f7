"""The configuration: its formulas, and that the documentation has the same numbers."""

import math
import re
from dataclasses import fields
from pathlib import Path

import pytest

from gossip import limits
from gossip.config import Config

DOCUMENT = Path(__file__).parents[2] / "docs" / "gossip.md"


@pytest.mark.parametrize("n", [1, 2, 8, 32, 128, 1_000, 10_000])
def test_transmit_limit_follows_its_formula(n: int) -> None:
    """An item is sent 4 x ceil(log10(n + 1)) times, an urgent one twice that."""
    config = Config.for_lan(n)
    times = 4 * max(1, math.ceil(math.log10(n + 1)))
    assert config.transmit_limit(n, urgent=False) == times
    assert config.transmit_limit(n, urgent=True) == 2 * times


def test_transmit_limit_of_nobody() -> None:
    """With nobody else an item still has a limit, so the formula never divides or waits."""
    assert Config().transmit_limit(0, urgent=False) == 4


@pytest.mark.parametrize(("n", "degree"), [(0, 0), (1, 1), (2, 2), (8, 8), (31, 13), (999, 23)])
def test_degree_grows_with_the_logarithm(n: int, degree: int) -> None:
    """Sessions held: everybody in a small mesh, 3 + 2 x ceil(log2(n)) in a large one."""
    assert Config().degree(n) == degree


def test_suspicion_is_the_floor_where_news_is_fast() -> None:
    """On a LAN the floor of 1.5 s holds; slow links and bad health of our own stretch it."""
    config = Config.for_lan(32)
    assert config.suspicion_seconds(32, 0.001, 0) == 1.5
    assert config.suspicion_seconds(32, 0.4, 0) > 1.5
    assert config.suspicion_seconds(32, 0.001, 2) == 4.5


def test_spread_grows_with_size_and_round_trip() -> None:
    """The estimate of how long news takes is monotonic in both."""
    config = Config()
    assert config.spread_seconds(2, 0.1) < config.spread_seconds(1_000, 0.1)
    assert config.spread_seconds(10, 0.01) < config.spread_seconds(10, 0.1)


def test_presets_differ_only_where_they_say() -> None:
    """The WAN preset is slower in every timer it changes, and larger meshes fan out wider."""
    lan, wan = Config.for_lan(10), Config.for_wan(10)
    for field in fields(Config):
        if field.name.endswith("_seconds") and field.name != "punch_delays_seconds":
            assert getattr(wan, field.name) >= getattr(lan, field.name), field.name
    assert Config.for_lan(1_000).fanout == Config.for_wan(1_000).fanout == 6


def test_documentation_has_the_same_defaults() -> None:
    """The table of docs/gossip.md names every field with its LAN and WAN values."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    shown = {name: (lan.strip(), wan.strip()) for name, lan, wan in rows}
    lan, wan = Config.for_lan(32), Config.for_wan(32)
    for field in fields(Config):
        values = tuple(str(getattr(preset, field.name)) for preset in (lan, wan))
        assert shown[field.name] == values, field.name


def test_documentation_has_every_limit() -> None:
    """Every bound of gossip.limits stands in docs/gossip.md with its value."""
    text = DOCUMENT.read_text()
    for name in dir(limits):
        if name.isupper():
            assert f"| `{name}` | {getattr(limits, name):,} |" in text, name
