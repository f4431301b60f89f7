"""The operators' page says what the program does."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from node.cli.node.status import KEYS
from node.settings import Settings, load


def page(root: Path) -> str:
    """Return the page."""
    return (root / "docs" / "operators.md").read_text()


def test_every_alarm_is_explained(root: Path) -> None:
    """The codes that node, gossip and trust raise are those of the table, both ways."""
    folders = (root / "node", root / "gossip", root / "crypto" / "trust")
    text = "\n".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    raised = set(re.findall(r'(?:stand|stand_error|set|_try|Alarm|_alarm)\(\s*"([a-z-]+)"', text))
    table = page(root).partition("| alarm |")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`([a-z-]+)`", "\n".join(_first_cells(table))))
    assert raised == explained


def _first_cells(table: str) -> list[str]:
    return [line.split("|")[1] for line in table.splitlines() if line.count("|") > 2]


def test_the_keys_of_status_are_named(root: Path) -> None:
    """Programs are told what they may rely on."""
    line = next(line for line in page(root).splitlines() if line.startswith("`status --json` has"))
    for key in KEYS:
        assert f"`{key}`" in line


def test_the_settings_shown_are_all_there_are_and_valid(root: Path, tmp_path: Path) -> None:
    """What is shown can be copied."""
    (block,) = re.findall(r"```toml\n(.*?)```", page(root), re.DOTALL)
    assert tomllib.loads(block).keys() == {field.name for field in fields(Settings)}
    (tmp_path / "settings.toml").write_text(block)
    load(tmp_path / "settings.toml")
