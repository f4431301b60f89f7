"""Places: where a source may be, by country and by network."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto.codec import Value
from policy import wire
from policy.facts import Place, is_country
from policy.selectors import Network


@dataclass(frozen=True, slots=True)
class PlaceSet:
    """Some countries and some networks; to be in any of them is to be there.

    Attributes:
        countries: Two capital letters each (ISO 3166-1 alpha-2), sorted.
        networks: Of underlay addresses, sorted.
    """

    countries: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        """Refuse nowhere, disorder, and what is no country.

        Raises:
            ValueError: It can not be meant.
        """
        if not self.countries and not self.networks:
            raise ValueError("a place needs a country or a cidr")
        if list(self.countries) != sorted(set(self.countries)):
            raise ValueError("a place's countries must be sorted and different")
        if not all(is_country(each) for each in self.countries):
            raise ValueError('a country is two capital letters, as "IN"')
        if list(self.networks) != sorted_networks(self.networks):
            raise ValueError("a place's networks must be sorted and different")

    def holds(self, place: Place) -> bool | None:
        """Say whether a place is in it; None if its country is unknown, and would matter."""
        address = place.address
        if any(address in network for network in self.networks):
            return True
        if self.countries and place.country is None:
            return None
        return place.country in self.countries


def sorted_networks(networks: Sequence[Network]) -> list[Network]:
    """Sort networks of both families, each once."""
    return sorted(set(networks), key=lambda each: (each.version, each))


def place_value(place: PlaceSet) -> Value:
    """Write a place."""
    return [list(place.countries), [str(each) for each in place.networks]]


def read_place(value: Value) -> PlaceSet:
    """Read what `place_value` writes."""
    countries, networks = wire.read_pair(value, "place")
    return PlaceSet(wire.read_texts(countries, "countries"), wire.read_networks(networks))
