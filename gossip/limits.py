"""Bounds on everything that one valid member, or nobody at all, can make a node spend.

Each is reached by a test of its own. A bound that is hit drops and counts; it never raises.
"""

from typing import Final

DATAGRAM_BYTES_MAX: Final = 1_200
"""No datagram is longer: the underlay may itself be a tunnel (RFC 9000 section 14)."""

MESSAGES_PER_DATAGRAM_MAX: Final = 64
RAW_BYTES_MAX: Final = 1_024
"""Signed objects up to this length ride in datagrams; longer ones are pulled in chunks."""

OFFER_BYTES: Final = 48
"""Room an offer takes in a datagram."""

PUSHED_MAX: Final = 32
"""Signed objects in one datagram."""

OBJECT_BYTES_MAX: Final = 512_000
"""The longest object pulled in chunks (crypto.signing: a root)."""

PART_BYTES_MAX: Final = 8 * 1_024 * 1_024
MEMBERS_MAX: Final = 16_384
ENDPOINTS_MAX: Final = 8
REFLEXIVE_ENDPOINTS_MAX: Final = 4
OBSERVATIONS_MAX: Final = 64

WAITING_ROOM_MAX: Final = 256
"""Objects whose parent is not here yet."""

CHECKS_PER_SECOND: Final = 2_000.0
"""Unknown objects of one peer that are looked into."""

CHECK_BURST: Final = 4_000.0
REFUSED_DEVICES_MAX: Final = 256
"""Devices that were told no, remembered so that a replay is not told again."""

REFUSED_IDS_MAX: Final = 1_024
QUEUE_ITEMS_MAX: Final = 1_024
"""Of each class of broadcasts; the most often sent goes first."""

SYNC_ENTRIES_MAX: Final = 16
"""Ranges in one sync message."""

SYNCS_PER_SECOND: Final = 20.0
"""Sync messages of one peer that are answered."""

SYNC_BURST: Final = 64.0
SYNC_DATAGRAMS_MAX: Final = 8
"""Datagrams of ids that one sync message may be answered with."""

IDS_PER_MESSAGE_MAX: Final = 48
WANTED_IDS_MAX: Final = 64
"""Objects asked for and not here yet, per peer."""

OFFERED_IDS_MAX: Final = 1_024
"""Ids a peer has offered and that still wait to be asked for."""

CHUNK_BYTES: Final = 1_024
CHUNKS_PER_REQUEST_MAX: Final = 16
CHUNKS_IN_FLIGHT_MAX: Final = 16
"""Chunks asked for and not here yet, per holder."""

PULLS_MAX: Final = 32
"""Objects pulled in chunks at one time. The parts of a head have places of their own."""

PULLS_PER_PEER_MAX: Final = 8
"""Of these, as many as one member alone offers."""

ACCUSATIONS_PER_SUBJECT_MAX: Final = 16
HINTS_PER_SUBJECT_MAX: Final = 3
"""Of those, accusations by members that do not observe it: they only make others look."""

ACCUSATION_BURST: Final = 64
"""Accusations by one accuser before its rate counts."""

ACCUSATIONS_PER_SECOND: Final = 1.0
PROBES_MAX: Final = 64
RELAYED_PROBES_MAX: Final = 256
PENDING_HELLOS_MAX: Final = 512
HELLOS_PER_SECOND: Final = 200.0
"""Hellos worth a key agreement, once their cheap checksum is right."""

HELLO_BURST: Final = 400.0
RELAYED_HELLO_BYTES_MAX: Final = 1_100
"""A hello that another member carries has to fit into its datagram."""

QUICKS_PER_SECOND: Final = 0.1
"""Quick datagrams to all addresses that one member claims and has not proven."""

QUICK_BURST: Final = 48.0
"""Enough to move twice with eight addresses."""

CONTACTED_MAX: Final = 1_024
SEEDS_MAX: Final = 64
SERVED_BYTES_PER_SECOND: Final = 8.0 * 1_024 * 1_024
SERVED_BURST_BYTES: Final = 1.0 * 1_024 * 1_024
"""What all that one peer asks for may cost."""
