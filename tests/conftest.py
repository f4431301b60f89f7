"""What every test may ask for, and where tests that need the real kernel may run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long one random example takes says more about what else the machine does than about the
# code; benchmarks measure speed, and every test has a timeout.
settings.register_profile(
    "hedgerow", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("hedgerow")

ROOT = Path(__file__).resolve().parent.parent

# The commands that system tests drive; scripts/install-system-packages brings them.
SYSTEM_COMMANDS = ("conntrack", "ip", "nft", "ping", "wg", "wireguard-go")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: the folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of published test vectors.

    HEDGEROW_VECTORS names it; otherwise it is looked for beside the checkout. A test that needs
    it is skipped where there is none, and fails where HEDGEROW_VECTORS names a folder that is not.
    """
    named = os.environ.get("HEDGEROW_VECTORS")
    if named is not None:
        folder = Path(named)
        if not folder.is_dir():
            pytest.fail(f"HEDGEROW_VECTORS is {named!r}, which is not a folder.")
        return folder
    folder = ROOT.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("no published test vectors here: set HEDGEROW_VECTORS to their folder")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep a system test from a machine that cannot run it, and say why.

    Without root it is skipped. A missing command is a skip too, but an error where CI is set (by
    the CI service or by `make test`): set-up has run there, so a skip would hide that it failed.
    """
    if item.get_closest_marker("system") is None:
        return
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces and firewall tables")
    missing = [command for command in SYSTEM_COMMANDS if shutil.which(command) is None]
    if not missing:
        return
    message = f"missing: {', '.join(missing)} (scripts/install-system-packages brings them)"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
