"""Short ways to say a Tailscale policy file, and to look at what came of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from policy.compile import compile_document
from policy.document import parse
from policy.importers.tailscale import Imported, convert

GROUPS = {"group:ops": ["ann@x.org"]}
TAGS: Mapping[str, list[str]] = {"tag:web": [], "tag:db": []}
NO_RULES: Mapping[str, list[str]] = {"acls": []}

EVERY = ["icmp", "tcp", "udp"]


def imported(**sections: Any) -> Imported:  # noqa: ANN401 - sections have many shapes
    """Import a file with two tags and a group, and these sections."""
    policy = {"groups": GROUPS, "tagOwners": TAGS, **NO_RULES, **sections}
    return convert(json.dumps(policy, indent=1), "acl.hujson", mesh="acme")


def document(result: Imported) -> dict[str, Any]:
    """Return what TOML says, after the compiler has seen it too."""
    compile_document(parse(result.toml, "imported.toml"))
    return tomllib.loads(result.toml)


def acl(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an entry of `acls`, ordinary but for these fields."""
    return {"action": "accept", "src": ["group:ops"], "dst": ["tag:web:22"], **fields}


def grant(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an entry of `grants`, ordinary but for these fields."""
    return {"src": ["group:ops"], "dst": ["tag:web"], "ip": ["tcp:22"], **fields}


def left(result: Imported) -> dict[str, str]:
    """Return why each thing is left out."""
    return {finding.what: finding.why for finding in result.not_imported}
