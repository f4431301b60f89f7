"""The machine can do what the system tests take for granted."""

from __future__ import annotations

import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system


def run(*command: str, stdin: str = "") -> str:
    """Run one command to its end and return what it printed; fail with its complaint."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace of this test's own."""
    name = f"hgtest{uuid.uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    yield name
    run("ip", "netns", "delete", name)


def test_firewall_elements_carry_deadlines(namespace: str) -> None:
    """A set in a namespace takes a concatenated element and counts its deadline down."""
    run(
        "ip", "netns", "exec", namespace, "nft", "-f", "-",
        stdin="""
            table inet hedgerow_probe {
                set live {
                    typeof ip saddr . tcp dport
                    flags timeout
                }
            }
            add element inet hedgerow_probe live { 100.64.0.1 . 443 timeout 30s }
        """,
    )  # fmt: skip
    listed = run("ip", "netns", "exec", namespace, "nft", "list", "ruleset")
    assert "100.64.0.1 . 443 timeout 30s expires" in listed


def test_namespaces_can_be_joined(namespace: str) -> None:
    """A veth pair with addresses carries a ping inside a namespace."""
    inside = ("ip", "-n", namespace)
    run(*inside, "link", "add", "left", "type", "veth", "peer", "name", "right")
    run(*inside, "link", "set", "lo", "up")
    for link, address in (("left", "192.0.2.1/32"), ("right", "192.0.2.2/32")):
        run(*inside, "address", "add", address, "dev", link)
        run(*inside, "link", "set", link, "up")
    run("ip", "netns", "exec", namespace, "ping", "-c", "1", "-W", "2", "192.0.2.2")


def test_user_space_wireguard_starts(namespace: str) -> None:
    """wireguard-go gives a namespace a device that wg can set up and read."""
    device = f"hg{uuid.uuid4().hex[:8]}"
    # It goes into the background by itself, and ends when its device is deleted.
    run("ip", "netns", "exec", namespace, "wireguard-go", device)
    try:
        run("ip", "netns", "exec", namespace, "wg", "set", device, "listen-port", "51899")
        shown = run("ip", "netns", "exec", namespace, "wg", "show", device, "listen-port")
        assert shown.strip() == "51899"
    finally:
        run("ip", "-n", namespace, "link", "delete", device)
