"""What the daemon leaves out when it imports, and that nothing is lost by it."""

import json
import logging
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import lean

ABSENT = ("rich", "pydantic", "aiohttp.client", "aiohttp.connector", "pyroute2.ndb.main")


def test_the_daemon_imports_nothing_that_it_never_uses() -> None:
    """A fresh interpreter that has the daemon has none of the large parts it needs not."""
    script = "import json, sys, node.daemon; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not set(ABSENT) & set(json.loads(done.stdout))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with an `__init__` that says when it runs, and two modules."""
    folder = tmp_path / "hgsample"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from hgsample.heavy import LOADED\n__version__ = '3'\nGREETING = 'hello'\n"
    )
    (folder / "heavy.py").write_text("LOADED = True\n")
    (folder / "light.py").write_text("from . import __version__, other\n")
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield "hgsample"
    for name in [name for name in sys.modules if name.partition(".")[0] == "hgsample"]:
        del sys.modules[name]


def test_a_bare_package_gives_its_modules_without_its_init(package: str) -> None:
    """Neither importing a module nor that module's own imports run the package's code."""
    lean.bare(package)
    __import__(f"{package}.light")
    assert f"{package}.other" in sys.modules
    assert f"{package}.heavy" not in sys.modules


def test_a_bare_package_gives_the_rest_when_it_is_asked_for(package: str) -> None:
    """A name that only its code defines makes that code run, once, in the same module."""
    lean.bare(package)
    module = sys.modules[package]
    light = __import__(f"{package}.light", fromlist=["light"])
    assert (module.GREETING, module.__version__) == ("hello", "3")
    assert sys.modules[package] is module
    assert module.light is light
    with pytest.raises(AttributeError):
        _ = module.NOTHING


def test_a_package_that_has_run_stays(package: str) -> None:
    """Whoever imported it whole before keeps it whole."""
    whole = __import__(package)
    lean.bare(package)
    assert sys.modules[package] is whole


def test_a_package_that_is_not_there_is_left_alone() -> None:
    """Its absence is told by the import itself, in the usual words."""
    lean.bare("hedgerow_no_such_package")
    assert "hedgerow_no_such_package" not in sys.modules


def test_an_optional_package_is_missing_within_the_block_only() -> None:
    """Before and after it is what it was."""
    with lean.without("logging"), pytest.raises(ImportError):
        __import__("logging")
    assert __import__("logging") is logging
    with lean.without("hedgerow_no_such_package"):
        pass
    assert "hedgerow_no_such_package" not in sys.modules
    assert isinstance(logging, types.ModuleType)
