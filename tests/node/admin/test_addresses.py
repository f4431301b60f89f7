"""Overlay addresses are handed out once, and registrars who cannot talk do not collide."""

from ipaddress import IPv4Network

import pytest

from crypto.errors import LocalError
from node.admin import addresses

POOL = IPv4Network("100.64.0.0/10")


def networks(*texts: str) -> list[IPv4Network]:
    """Read several networks."""
    return [IPv4Network(text) for text in texts]


def test_first_address_is_not_the_network_address() -> None:
    """The lowest free address of an unused pool is .1, and its last address is never given."""
    assert addresses.lowest_free(POOL, POOL, []) == IPv4Network("100.64.0.1/32")
    tiny = IPv4Network("10.0.0.0/30")
    taken = networks("10.0.0.1/32", "10.0.0.2/32")
    with pytest.raises(LocalError, match=r"no free block of 1 addresses is left in 10\.0"):
        addresses.lowest_free(tiny, tiny, taken)


def test_gaps_are_filled_and_ranges_are_aligned() -> None:
    """An address goes into the first gap; a range starts at a multiple of its size after it."""
    taken = networks("100.64.0.1/32", "100.64.0.3/32", "100.64.0.16/28")
    assert addresses.lowest_free(POOL, POOL, taken) == IPv4Network("100.64.0.2/32")
    found = addresses.lowest_free(POOL, POOL, taken, prefix=28)
    assert found == IPv4Network("100.64.0.32/28")


def test_every_block_is_free_until_there_is_none() -> None:
    """Taking all blocks of a small pool one by one never repeats an address, then fails."""
    pool = IPv4Network("10.0.0.0/26")
    taken: list[IPv4Network] = []
    for prefix in (32, 30, 32, 29, 32, 30, 31):
        block = addresses.lowest_free(pool, pool, taken, prefix=prefix)
        assert block.subnet_of(pool)
        assert not any(block.overlaps(other) for other in taken)
        taken.append(block)
    with pytest.raises(LocalError):
        addresses.lowest_free(pool, pool, taken, prefix=26)


def test_slices_of_registrars_do_not_overlap() -> None:
    """Three registrar keys draw from three disjoint slices of the pool."""
    keys = [bytes([n]) * 32 for n in (9, 1, 5)]
    slices = [addresses.own_slice(POOL, keys, key) for key in keys]
    assert [str(part) for part in slices] == ["100.64.0.0/14", "100.68.0.0/14", "100.72.0.0/14"]


def test_slices_stay_when_registrars_come() -> None:
    """The slice of a key does not move when thirteen more keys get the role."""
    keys = [bytes([n]) * 32 for n in range(16)]
    few = [addresses.own_slice(POOL, keys[:3], key) for key in keys[:3]]
    assert [addresses.own_slice(POOL, keys, key) for key in keys[:3]] == few
    many = [bytes([n]) * 32 for n in range(17)]
    slices = [addresses.own_slice(POOL, many, key) for key in many]
    assert not any(a.overlaps(b) for i, a in enumerate(slices) for b in slices[:i])


def test_edges_of_a_slice_stay_unused() -> None:
    """The first address of a slice is not given out: some programs take it for a network."""
    within = addresses.own_slice(POOL, [b"a" * 32, b"b" * 32], b"b" * 32)
    assert addresses.lowest_free(POOL, within, []) == IPv4Network("100.68.0.1/32")


def test_small_pool_is_not_cut() -> None:
    """A pool that is too small to cut stays whole."""
    keys = [b"a" * 32, b"b" * 32]
    small = IPv4Network("10.1.2.0/24")
    assert addresses.own_slice(small, keys, keys[1]) == small


@pytest.mark.parametrize(("uses", "prefix"), [(2, 28), (3, 27), (10, 25), (100, 22)])
def test_range_leaves_room_for_independent_choices(uses: int, prefix: int) -> None:
    """A range has eight addresses a use, and sixteen at least."""
    assert addresses.range_prefix(uses) == prefix


def test_address_by_hand_is_checked() -> None:
    """An address outside the pool and one that was handed out are refused, each by name."""
    taken = networks("100.64.1.0/24")
    with pytest.raises(LocalError, match=r"10\.0\.0\.1 is not in the pool 100\.64\.0\.0/10"):
        addresses.check_free(IPv4Network("10.0.0.1/32"), POOL, taken)
    with pytest.raises(LocalError, match=r"100\.64\.1\.7 overlaps with 100\.64\.1\.0/24"):
        addresses.check_free(IPv4Network("100.64.1.7/32"), POOL, taken)
    addresses.check_free(IPv4Network("100.64.2.0/24"), POOL, taken)
