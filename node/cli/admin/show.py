"""`hedgerow admin show`: what the folder holds."""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from node.cli import report
from node.cli.admin.options import dir_option, open_folder

if TYPE_CHECKING:  # imported when the command runs: they pull in the cryptography
    from crypto.objects import Device, Revoke, Ticket
    from node.admin.folder import Folder


@click.command()
@dir_option
@report.json_option
def show(*, folder_path: Path, as_json: bool) -> None:
    """Show the mesh, its keys, and the bundles, devices, invites and revocations in the folder."""
    folder = open_folder(folder_path)
    value = _described(folder)
    if as_json:
        report.emit(value)
        return
    root = folder.root
    newest = folder.newest_bundle()
    report.facts(
        [
            ("mesh", f"{root.mesh_name} {folder.mesh_id.hex()}"),
            ("root", f"version {root.version}, expires {report.moment(root.expires)}"),
            ("pool", root.pool4),
            ("newest bundle", newest.path if newest else "none"),
        ]
    )
    _table("Keys", ["key", "root", "policy", "registrar", "revoker", "file"], _key_rows(folder))
    _table("Devices", ["name", "id", "address", "tags", "owner", "state"], _device_rows(folder))
    _table(
        "Invites", ["ticket", "name", "uses", "addresses", "until", "state"], _ticket_rows(folder)
    )
    _table("Revoked", ["kind", "subject", "at", "reason"], _revoke_rows(folder))
    for problem in folder.problems:
        report.note(f"warning: {problem}")


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    if rows:
        click.echo(f"\n{title}")
        report.table(columns, rows)


def _key_rows(folder: "Folder") -> list[list[str]]:
    return [
        [
            key["key"],
            *("yes" if role in key["roles"] else "" for role in folder.root.roles),
            key["file"] or "",
        ]
        for key in _keys(folder)
    ]


class _Key(TypedDict):
    """A key of the newest root.

    Attributes:
        key: Its public half.
        roles: The roles it holds.
        file: Its key file, if that lies in the folder.
    """

    key: str
    roles: list[str]
    file: str | None


def _keys(folder: "Folder") -> list[_Key]:
    from node.admin import keyfile, keytext, layout

    here = {keyfile.load(path).public: str(path) for path in layout.key_files(folder.path)}
    roles = folder.root.roles
    every = dict.fromkeys(key for role in roles.values() for key in role.keys)
    return [
        {
            "key": keytext.format_key(key),
            "roles": [name for name, role in roles.items() if key in role.keys],
            "file": here.get(key),
        }
        for key in every
    ]


def _device_rows(folder: "Folder") -> list[list[str]]:
    return [
        [
            device.name,
            device.device_id.hex()[:16],
            str(device.address4),
            ", ".join(device.tags),
            device.owner or "",
            _device_state(folder, device),
        ]
        for device in sorted(folder.devices.values(), key=lambda device: device.name)
    ]


def _device_state(folder: "Folder", device: "Device") -> str:
    in_force, reason = folder.trust.device_state(device.device_id, folder.now)
    return "in force" if in_force else reason


def _ticket_rows(folder: "Folder") -> list[list[str]]:
    from node.admin import addresses

    return [
        [
            ticket_id.hex()[:16],
            ticket.name or "",
            str(ticket.uses),
            addresses.show(ticket.addresses),
            report.moment(ticket.not_after),
            _ticket_state(folder, ticket_id, ticket),
        ]
        for ticket_id, ticket in sorted(folder.tickets.items(), key=lambda each: each[1].issued)
    ]


def _ticket_state(folder: "Folder", ticket_id: bytes, ticket: "Ticket") -> str:
    from node.admin import enrol

    return "open" if enrol.is_open(folder, ticket_id, ticket) else "expired or revoked"


def _subject(revoke: "Revoke") -> str:
    from node.admin import keytext

    match revoke.subject:
        case str(name):
            return name
        case key if revoke.kind.value == "registrar":
            return keytext.short_key(key)
        case identifier:
            return identifier.hex()[:16]


def _revoke_rows(folder: "Folder") -> list[list[str]]:
    return [
        [
            revoke.kind.value,
            _subject(revoke),
            report.moment(revoke.issued),
            revoke.reason,
        ]
        for revoke in sorted(folder.revokes.values(), key=lambda revoke: revoke.issued)
    ]


def _described(folder: "Folder") -> dict[str, object]:
    from node.admin import addresses, layout

    root = folder.root
    return {
        "mesh": root.mesh_name,
        "mesh_id": folder.mesh_id,
        "root": root.version,
        "expires": report.moment(root.expires),
        "pool": root.pool4,
        "thresholds": {name: role.threshold for name, role in root.roles.items()},
        "keys": _keys(folder),
        "bundles": [
            {
                "file": bundle.path,
                "epoch": bundle.epoch,
                "version": bundle.version,
                "complete": not bundle.partial,
            }
            for bundle in layout.bundles(folder.path)
        ],
        "devices": [
            {
                "name": device.name,
                "device_id": device.device_id,
                "address4": device.address4,
                "address6": device.address6,
                "tags": device.tags,
                "owner": device.owner,
                "state": _device_state(folder, device),
            }
            for device in folder.devices.values()
        ],
        "invites": [
            {
                "ticket": ticket_id,
                "name": ticket.name,
                "uses": ticket.uses,
                "addresses": addresses.show(ticket.addresses),
                "not_after": report.moment(ticket.not_after),
                "state": _ticket_state(folder, ticket_id, ticket),
            }
            for ticket_id, ticket in folder.tickets.items()
        ],
        "revoked": [
            {
                "kind": revoke.kind.value,
                "subject": revoke.subject,
                "issued": report.moment(revoke.issued),
                "reason": revoke.reason,
            }
            for revoke in folder.revokes.values()
        ],
        "problems": folder.problems,
    }
