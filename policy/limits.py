"""Bounds of one policy: above them it is refused when it is compiled, not when it is applied."""

from typing import Final

DOCUMENT_CHARACTERS_MAX: Final = 8 * 1024 * 1024
PARTS_BYTES_MAX: Final = 8 * 1024 * 1024
RULE_RANGES_MAX: Final = 1_000
RULE_SELECTORS_MAX: Final = 1_000
GROUPS_OF_USER_MAX: Final = 64
NODE_ELEMENTS_MAX: Final = 100_000
LEASE_SECONDS_MAX: Final = 24 * 3600
SESSION_SECONDS_MAX: Final = 30 * 24 * 3600
