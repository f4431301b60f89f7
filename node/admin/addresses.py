"""Which overlay addresses are still free: computed from what was signed, so it cannot be wrong.

Two registrars who cannot ask each other must not hand out the same address. So the pool is cut
into slices, one for each registrar key that the mesh ever had, in the order in which its roots
named them; a key takes the lowest free address of its slice, and keeps the slice when others come
and go. Should two collide anyway, nodes settle it the same way everywhere: the first keeps it.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from crypto.errors import LocalError

# As many slices at least, so that more keys do not move those of the first.
SLICES_MIN = 16
# A slice is not cut smaller than this; in a smaller pool all registrars draw from the whole.
SLICE_PREFIX_MAX = 24
# A many-use range holds this many addresses for each use, so that devices that choose theirs
# unseen by each other rarely choose the same, and rarely have to choose again.
RANGE_FACTOR = 8
RANGE_ADDRESSES_MIN = 16


def own_slice(pool: IPv4Network, registrars: Sequence[bytes], registrar: bytes) -> IPv4Network:
    """Return the part of the pool from which this registrar key takes addresses.

    Args:
        pool: The mesh's pool.
        registrars: Every key that ever had the role, the oldest first.
        registrar: One of them.
    """
    slices = max(SLICES_MIN, len(registrars))
    prefix = pool.prefixlen + (slices - 1).bit_length()
    if prefix > SLICE_PREFIX_MAX:
        return pool
    start = int(pool.network_address) + (registrars.index(registrar) << (32 - prefix))
    return IPv4Network((start, prefix))


def range_prefix(uses: int) -> int:
    """Return the prefix length of a range for so many uses."""
    return 32 - (max(RANGE_ADDRESSES_MIN, RANGE_FACTOR * uses) - 1).bit_length()


def lowest_free(
    pool: IPv4Network, within: IPv4Network, taken: Iterable[IPv4Network], *, prefix: int = 32
) -> IPv4Network:
    """Return the lowest free block of this size; first and last addresses stay unused.

    Raises:
        LocalError: There is none.
    """
    size = 1 << (32 - prefix)
    used = _merged([*taken, *_edges(pool), *_edges(within)])
    at = int(within.network_address)
    end = at + within.num_addresses
    for first, last in used:
        if at + size <= first:
            break
        if last >= at:
            at = -(-(last + 1) // size) * size  # up to the next multiple of the size
    if at + size > end:
        raise LocalError(
            f"no free block of {size} addresses is left in {within}",
            remedy="pass --address with a free one from elsewhere in the pool",
        )
    return IPv4Network((at, prefix))


def _edges(pool: IPv4Network) -> Sequence[IPv4Network]:
    if pool.num_addresses <= 2:
        return ()
    return (IPv4Network(pool.network_address), IPv4Network(pool.broadcast_address))


def _merged(networks: Iterable[IPv4Network]) -> list[tuple[int, int]]:
    spans = sorted((int(n.network_address), int(n.broadcast_address)) for n in networks)
    merged: list[tuple[int, int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def check_free(wanted: IPv4Network, pool: IPv4Network, taken: Iterable[IPv4Network]) -> None:
    """Make sure that an address or a range given by hand may be handed out.

    Raises:
        LocalError: It is not in the pool, or overlaps with what was handed out before.
    """
    if not wanted.subnet_of(pool):
        raise LocalError(
            f"{show(wanted)} is not in the pool {pool} of this mesh",
            remedy="choose one inside the pool, or leave --address out",
        )
    for other in taken:
        if wanted.overlaps(other):
            raise LocalError(
                f"{show(wanted)} overlaps with {show(other)}, which was handed out before",
                remedy="choose another one, or leave --address out",
            )


def show(network: IPv4Network) -> str:
    """Write a single address without its prefix length."""
    return str(network.network_address) if network.prefixlen == 32 else str(network)
