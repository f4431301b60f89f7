"""Numbers for meanings: the same on every run, and never two meanings for one number."""

import pytest

from crypto.errors import LocalError
from node.engine import numbers
from node.engine.numbers import Numbers, class_numbers, grant_ids, meaning


def test_a_meaning_has_the_same_number_on_every_run() -> None:
    """The number is a function of the meaning, whatever else is numbered."""
    ssh = meaning("in", 6, 22, 22, ["ssh"])
    alone = grant_ids().number([ssh])[ssh]
    among = grant_ids().number([meaning("in", 6, port, port, ["r"]) for port in range(50)] + [ssh])
    assert among[ssh] == alone
    assert alone == 0x48A95C72


def test_colliding_meanings_get_different_numbers_in_sorted_order() -> None:
    """In a space of three numbers, three meanings get all three, the same way each time."""
    meanings = [meaning(word) for word in ("a", "b", "c")]
    first = Numbers(prefix=0x100, bits=2).number(meanings)
    assert sorted(first.values()) == [0x101, 0x102, 0x103]
    assert Numbers(prefix=0x100, bits=2).number(reversed(meanings)) == first


def test_a_number_keeps_its_meaning_while_the_daemon_lives() -> None:
    """When one of two colliding meanings goes, the other does not take its number."""
    meanings = [meaning(word) for word in ("a", "b", "c")]
    space = Numbers(prefix=0, bits=2)
    first = space.number(meanings)
    for each in meanings:
        assert space.number([each]) == {each: first[each]}


def test_a_full_space_is_an_error_and_not_a_loop() -> None:
    """More meanings than numbers cannot be told apart."""
    with pytest.raises(LocalError, match="no more than 3"):
        Numbers(prefix=0, bits=2).number([meaning(word) for word in "abcd"])


def test_what_is_not_in_use_is_forgotten_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """REMEMBERED_MAX bounds the memory; what is in use keeps its number."""
    monkeypatch.setattr(numbers, "REMEMBERED_MAX", 5)
    space = class_numbers()
    kept = meaning("kept")
    first = space.number([kept])
    for number in range(20):
        assert space.number([kept, meaning(number)])[kept] == first[kept]
    assert len(space._numbers) <= 7


def test_no_class_is_zero() -> None:
    """Zero is what an unmarked packet carries."""
    assert 0 not in Numbers(prefix=0, bits=1).number([meaning("x")]).values()
