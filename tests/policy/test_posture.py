"""Comparisons of posture facts: their grammar, their types, and whether they can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.facts import FactValue
from policy.posture import Check, Posture, is_fact, parse_check, satisfying
from tests.policy.build import RANDOM


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("disk.encrypted == true", "disk.encrypted == true"),
        ("  a_b.c2!=false ", "a_b.c2 != false"),
        ("os.patch_age_days<=30", "os.patch_age_days <= 30"),
        ("os.version >= 13.2.0", "os.version >= 13.2"),
        ("os.version > 13.0", "os.version > 13.0"),
        ("os.version < 0.0", "os.version < 0.0"),
        ('os.name == "linux"', 'os.name == "linux"'),
        ('os.name in ["macos","linux", "macos"]', 'os.name in ["linux", "macos"]'),
        ('os.name in ["a, b", "]"]', 'os.name in ["]", "a, b"]'),
        ("n in [3, 12]", "n in [12, 3]"),
        ("v in [1.2, 1.10]", "v in [1.10, 1.2]"),
    ],
)
def test_a_comparison_is_written_in_one_way(text: str, written: str) -> None:
    """However it is spaced and ordered, it reads back as itself."""
    check = parse_check(text)
    assert str(check) == written
    assert parse_check(written) == check


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no comparison"),
        ("disk.encrypted", "is no comparison; write FACT"),
        ("Disk == true", "is no comparison"),
        ("disk = true", "is no comparison"),
        ("disk == True", "compares with True; write FACT"),
        ("disk ==", "compares with nothing"),
        ("n <= -1", "compares with -1"),
        ("n <= 007", "compares with 007"),
        ("n <= 1.5.", "compares with 1.5."),
        ('n == "a\\"b"', "compares with"),
        ("disk < true", "orders what has no order; write == or !="),
        ('name >= "linux"', "orders what has no order"),
        ("n in 3", 'has no list after "in"'),
        ("n in []", "has no list of values"),
        ("n in [1,]", "has no list of values"),
        ("n in [1 2]", "has no comma between two values"),
        ('n in [1, "a"]', "mixes types"),
        ("n in [1, true]", "mixes types"),
    ],
)
def test_what_is_no_comparison_is_refused(text: str, words: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match=r".*") as caught:
        parse_check(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("v >= 13.2", "13.2", True),
        ("v >= 13.2", "13.2.0.0", True),
        ("v >= 13.2", "13.10", True),
        ("v >= 13.2", "14", True),
        ("v >= 13.2", "13.1.9", False),
        ("v >= 13.2", "13.2-rc1", None),
        ("v >= 13.2", "", None),
        ("v >= 13.2", 14, None),
        ("v in [1.2, 1.3]", "1.3.0", True),
        ("v == true", True, True),
        ("v == true", 1, None),
        ("v == 1", True, None),
        ("v < 3", -1, None),
        ("v < 3", 0, True),
        ('v != "x"', "y", True),
        ('v != "x"', None, None),
    ],
)
def test_a_fact_has_the_type_of_the_literal(
    text: str, value: FactValue | None, *, holds: bool | None
) -> None:
    """Versions compare by their numbers, and a wrong type is Unknown (T38)."""
    facts = {} if value is None else {"v": value}
    assert parse_check(text).holds(facts) is holds


LITERALS = {
    "n": ["0", "1", "5", "6"],
    "b": ["true", "false"],
    "s": ['"a"', '"b"'],
    "v": ["0.0", "1.0", "1.2", "1.2.1"],
}
VALUES: dict[str, list[FactValue]] = {
    "n": list(range(9)),
    "b": [True, False],
    "s": ["a", "b", "c"],
    "v": ["0", "0.5", "1", "1.1", "1.2", "1.2.0.1", "1.2.1", "1.2.2", "2"],
}


@st.composite
def checks(draw: st.DrawFn) -> Check:
    """Return a strategy for comparisons of four facts, each of its type."""
    fact = draw(st.sampled_from(sorted(LITERALS)))
    ordered = ["<", "<=", ">", ">="] if fact in "nv" else []
    comparison = draw(st.sampled_from(["==", "!=", *ordered]))
    return parse_check(f"{fact} {comparison} {draw(st.sampled_from(LITERALS[fact]))}")


@given(st.lists(checks(), min_size=1, max_size=5))
@RANDOM
def test_facts_are_found_exactly_if_there_are_any(found: list[Check]) -> None:
    """What is found passes all; where nothing is found no value of a dense sample passes."""
    facts = satisfying(found)
    if facts is not None:
        assert all(check.holds(facts) is True for check in found)
        return
    names = {check.fact for check in found}
    impossible = [
        name
        for name in names
        if not any(
            all(check.holds({name: value}) for check in found if check.fact == name)
            for value in VALUES[name]
        )
    ]
    assert impossible


@pytest.mark.parametrize(
    ("age", "texts", "words"),
    [
        (0, ["a == 1"], "no length of time"),
        (60, [], "1 to 64 checks"),
        (60, ["b == 1", "a == 1"], "sorted"),
        (60, ["a == 1", "a == 1"], "sorted, different"),
    ],
)
def test_a_posture_is_refused(age: int, texts: list[str], words: str) -> None:
    """None, disorder, doubles and no age make no posture."""
    with pytest.raises(ValueError, match=words):
        Posture(age, tuple(map(parse_check, texts)))


def test_facts_have_dotted_names() -> None:
    """Small letters, digits, underscores and dots."""
    assert is_fact("os.patch_age_days")
    assert not is_fact("os..name")
    assert not is_fact("")
