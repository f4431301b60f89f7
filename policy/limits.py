"""Bounds of one policy: above them it is refused when it is compiled, not when it is applied."""

from typing import Final

DOCUMENT_CHARACTERS_MAX: Final = 8 * 1024 * 1024
PARTS_BYTES_MAX: Final = 8 * 1024 * 1024
RULE_RANGES_MAX: Final = 1_000
RULE_SELECTORS_MAX: Final = 1_000
RULE_CONDITIONS_MAX: Final = 64
GROUPS_OF_USER_MAX: Final = 64
NODE_ELEMENTS_MAX: Final = 100_000
LEASE_SECONDS_MAX: Final = 24 * 3600
SESSION_SECONDS_MAX: Final = 30 * 24 * 3600
AGE_SECONDS_MAX: Final = 366 * 24 * 3600
ISSUER_KEYS_MAX: Final = 16
KEY_BYTES_MAX: Final = 4_096
SITE_SUBNETS_MAX: Final = 256
SITE_GATEWAYS_MAX: Final = 16
POSTURE_CHECKS_MAX: Final = 64
PLACE_NETWORKS_MAX: Final = 1_000
CALENDAR_SECONDS_MAX: Final = 400 * 24 * 3600
