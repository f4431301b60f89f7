"""The bundle: a mesh's signed state in one file (*.hgb), as an admin hands it to any node.

It is the roots, one head, and the parts the head names. Reading one checks that the parts are the
ones the head means, byte for byte; who signed root and head is for `crypto.trust` to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import PART_BYTES_MAX, Head, fields, payload_of
from crypto.objects.fields import Reader
from crypto.signing import ObjectType

MAGIC: Final = "hedgerow-bundle-1"
ROOTS_MAX: Final = 1_024
PARTS_BYTES_MAX: Final = PART_BYTES_MAX
BUNDLE_BYTES_MAX: Final = 2 * PARTS_BYTES_MAX
"""Parts of 8 MiB together, and as much for a long chain of roots."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Roots, a head, and exactly the parts that head names.

    Attributes:
        roots: Envelopes of roots in order; a node that knows older ones needs only the rest.
        head: Envelope of the head.
        parts: The parts by name.

    Raises:
        ObjectError: If the head or a root is none, a part is missing, unnamed by the head or not
            the one it names, or the parts are longer than 8 MiB together.
        CodecError: If the head or a root is not strict CBOR.
    """

    roots: tuple[bytes, ...] = field(repr=False)
    head: bytes = field(repr=False)
    parts: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        fields.check_distinct("bundle", "roots", self.roots, maximum=ROOTS_MAX)
        for raw in self.roots:
            payload_of(raw, ObjectType.ROOT)
        length = sum(map(len, self.parts.values()))
        fields.check_number("bundle", "length of its parts", length, hi=PARTS_BYTES_MAX)
        self._check_parts()

    def _check_parts(self) -> None:
        named = self.decoded_head().parts
        for name in named.keys() ^ self.parts.keys():
            has = "does not carry" if name in named else "carries, and its head does not name,"
            raise ObjectError(f"bundle: it {has} the part {name[:64]!r}")
        for name, data in self.parts.items():
            part = named[name]
            if (len(data), sha256(data).digest()) != (part.length, part.hash):
                raise ObjectError(f"bundle: part {name} is not the one its head names")

    def decoded_head(self) -> Head:
        """Return the head, not verified.

        Raises:
            ObjectError: If it is none.
            CodecError: If it is not strict CBOR.
        """
        return Head.from_payload(payload_of(self.head, ObjectType.HEAD))

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return fields.encode({1: MAGIC, 2: self.roots, 3: self.head, 4: dict(self.parts)})

    @classmethod
    def decode(cls, data: bytes) -> "Bundle":
        """Return the bundle in a file's bytes.

        Raises:
            CodecError: If they are not strict CBOR or longer than 16 MiB.
            ObjectError: If they are no bundle or it contradicts itself.
        """
        reader = Reader.of_payload("bundle", data, max_bytes=BUNDLE_BYTES_MAX)
        if reader.take(1, "kind", str) != MAGIC:
            raise ObjectError("bundle: this file is none, or of a form this version does not know")
        bundle = cls(
            roots=reader.take_items(2, "roots", bytes),
            head=reader.take(3, "head", bytes),
            parts={
                name: _part(name, value) for name, value in reader.take_by_name(4, "parts").items()
            },
        )
        reader.finish()
        return bundle


def _part(name: str, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ObjectError(f"bundle: part {name[:64]!r} must be bytes, not {type(value).__name__}")
    return value
