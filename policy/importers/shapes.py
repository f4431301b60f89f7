"""The shapes that a policy file is made of: objects with known names, lists, and texts.

Go's decoder, which Tailscale uses, takes the names of a record's fields in any case: old files
have `ACLs` and `Users`. So do we; but a field that is there twice that way is an error here, for
one of the two could be the one that narrows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from policy.importers.findings import Findings
from policy.importers.hujson import HujsonError, Member, Node, Number

Fields = Mapping[str, Member]

_KINDS: Final = {bool: "true or false", Number: "a number", str: "a text", tuple: "a list"}


class Shapes:
    """Reads them, and tells what has another shape than expected.

    Args:
        file: Name of the file, for errors.
        findings: Where to tell.
    """

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings

    def fields(self, node: Node, what: str) -> Fields:
        """Give the fields of a record by their names in lower case.

        Raises:
            HujsonError: A field is there twice, in different case.
        """
        fields: dict[str, Member] = {}
        for member in self.members(node, what):
            first = fields.setdefault(member.name.casefold(), member)
            if first is not member:
                raise HujsonError(
                    self._file,
                    member.line,
                    member.column,
                    f'"{member.name}" is "{first.name}" of line {first.line} once more',
                )
        return fields

    def members(self, node: Node, what: str) -> Sequence[Member]:
        """Give what an object holds, nothing if there is null in its place."""
        if isinstance(node.value, Mapping):
            return tuple(node.value.values())
        self._unless_null(node, what, "an object")
        return ()

    def items(self, node: Node, what: str) -> Sequence[Node]:
        """Give what a list holds, nothing if there is null in its place."""
        if isinstance(node.value, tuple):
            return node.value
        self._unless_null(node, what, "a list")
        return ()

    def texts(self, node: Node, what: str) -> Iterator[tuple[int, str]]:
        """Give the different texts of a list, each with its line."""
        seen = set()
        for item in self.items(node, what):
            text = self.text(item, what)
            if text is not None and text not in seen:
                seen.add(text)
                yield item.line, text

    def text(self, node: Node, what: str) -> str | None:
        """Give a text."""
        if isinstance(node.value, str):
            return node.value
        self._findings.leave(node.line, what, f"it is {_kind(node)} where a text is expected")
        return None

    def _unless_null(self, node: Node, what: str, expected: str) -> None:
        if node.value is not None:
            why = f"it is {_kind(node)} where {expected} is expected"
            self._findings.leave(node.line, what, why)


def says_nothing(node: Node) -> bool:
    """Say whether a value is as good as none: null, false, and what is empty."""
    return not node.value


def _kind(node: Node) -> str:
    if node.value is None:
        return "null"
    return _KINDS.get(type(node.value), "an object")
