"""hedgerow doctor: look for what keeps a node from running, or from running well."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import click

from crypto.errors import LocalError
from node import checkup
from node.checkup import ClockReading, Finding, State
from node.cli.node.options import named_state, state_option
from node.cli.report import emit, json_option
from node.paths import Paths, locate

PROGRAM_SECONDS_MAX = 10.0
# struct timex (linux/timex.h): room for all of it, and where its maxerror stands.
_TIMEX_BYTES = 512
_MAXERROR = slice(24, 32)
_TRIAL_TABLE = "hedgerow_doctor"


@click.command()
@state_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, own_state: Path | None, as_json: bool) -> None:
    """Look for what keeps a node from running here, or from running well.

    Nothing is changed. Exit code 1 when something has to be mended; a warning alone is 0.
    """
    findings = list(_look(named_state(ctx, own_state)))
    state = checkup.worst(findings)
    if as_json:
        rows = [
            {"check": f.check, "state": str(f.state), "text": f.text, "remedy": f.remedy}
            for f in findings
        ]
        emit({"state": str(state), "findings": rows})
    else:
        for finding in findings:
            click.echo(f"{finding.state:8} {finding.check:11} {finding.text}")
            if finding.remedy:
                click.echo(f"{'':20} {finding.remedy}")
    if state is State.FAILED:
        ctx.exit(1)


def _look(state: Path | None) -> Iterator[Finding]:
    yield from _packages()
    yield _rights()
    yield _firewall()
    yield checkup.wireguard(
        module=_has_module(),
        program=shutil.which("wireguard-go"),
        tun=Path("/dev/net/tun").exists(),
    )
    yield checkup.clock(_clock())
    try:
        places = locate(state)
    except LocalError as error:
        yield Finding("membership", State.WARNING, error.message, error.remedy)
        return
    yield from _node(places)


def _packages() -> Iterator[Finding]:
    homes: dict[str, Path | None] = {}
    for name in checkup.PACKAGES:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec else []
        homes[name] = Path(places[0]).resolve().parent if places else None
    home = Path(checkup.__file__).resolve().parent.parent
    yield from checkup.packages(homes, metadata.packages_distributions(), home)


def _rights() -> Finding:
    from node.preflight import check_rights

    try:
        check_rights()
    except LocalError as error:
        # Whoever runs the doctor need not be who runs the daemon.
        return Finding("rights", State.WARNING, error.message, error.remedy)
    return Finding("rights", State.OK, "this process may configure the network")


def _firewall() -> Finding:
    version = _output("nft", "--version")
    if version is None:
        return checkup.firewall(version=None, refusal=None)
    text = _trial()
    done = subprocess.run(
        ["nft", "--check", "-f", "-"],  # noqa: S607 - the nft that the daemon would use
        input=text,
        text=True,
        capture_output=True,
        check=False,
        timeout=PROGRAM_SECONDS_MAX,
    )
    refusal: str | None = ""
    if "not permitted" in done.stderr:
        refusal = None
    elif done.returncode:
        refusal = next((line for line in done.stderr.splitlines() if "rror" in line), "")[:200]
        refusal = refusal or f"exit status {done.returncode}"
    return checkup.firewall(version=version, refusal=refusal)


def _trial() -> str:
    """Return rules of every kind that a node loads, for a table that is never made."""
    from node.engine.desired import FirewallPlan
    from node.kernel.firewall.plan import render_base

    plan = FirewallPlan(
        interface="hgdoctor",
        address4=IPv4Address("100.64.0.1"),
        address6=IPv6Address("fd00::1"),
        pool4=IPv4Network("100.64.0.0/10"),
        pool6=IPv6Network("fd00::/48"),
        wireguard_port=20_001,
        control_port=20_002,
    )
    element = f"add element inet {_TRIAL_TABLE} live4 {{ 100.64.0.2 . 0x48000001 timeout 5s }}\n"
    return render_base(plan, table=_TRIAL_TABLE) + "\n" + element


def _has_module() -> bool:
    if Path("/sys/module/wireguard").exists():
        return True
    return _output("modprobe", "--dry-run", "--quiet", "wireguard") is not None


def _output(*argv: str) -> str | None:
    """Return what a program prints, or None if it is not there or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed argument lists of ours
            argv, text=True, capture_output=True, check=False, timeout=PROGRAM_SECONDS_MAX
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def _clock() -> ClockReading | None:
    """Ask the kernel how good its clock is; to ask changes nothing (modes 0)."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state: int = ctypes.CDLL(None).adjtimex(timex)
    except AttributeError:
        return None
    if state < 0:
        return None
    microseconds = int.from_bytes(timex.raw[_MAXERROR], sys.byteorder, signed=True)
    return ClockReading(state, microseconds / 1e6)


def _node(places: Paths) -> Iterator[Finding]:
    """Look at one node: its keys, its port, its daemon."""
    from node import keystore

    if not os.access(places.state, os.R_OK | os.X_OK):
        text = f"{places.state} is not readable for this user"
        yield Finding("membership", State.WARNING, text, "run this command as root")
        return
    try:
        keys = keystore.load(places.state)
        if keys is None or not places.database.exists():
            remedy = "join one with `hedgerow join INVITE`, or name another folder: --state DIR"
            yield Finding("membership", State.WARNING, f"{places.state} is in no mesh", remedy)
            return
        yield _port(places, keys.device_id)
    except LocalError as error:
        yield Finding("membership", State.FAILED, error.message, error.remedy)
        return
    yield Finding("membership", State.OK, f"the node in {places.state}")
    yield from _daemon(places)


def _port(places: Paths, device_id: bytes) -> Finding:
    from node import restore, udp
    from node.engine.view import interface_name
    from node.kernel import links
    from node.state import Store

    with Store(places.database) as store:
        number = store.get_number(restore.WIREGUARD_PORT) or None
    taken = False
    if number is not None:
        try:
            udp.bind(number).close()
        except udp.PortInUseError:
            taken = True
    return checkup.port(number, taken=taken, ours=links.exists(interface_name(device_id)))


def _daemon(places: Paths) -> Iterator[Finding]:
    from node.api.client import Client, NotRunningError

    try:
        status = Client(places.socket).get("/v1/status")
    except NotRunningError as error:
        yield Finding("daemon", State.WARNING, error.message, error.remedy)
        return
    except LocalError as error:
        yield Finding("daemon", State.FAILED, error.message, error.remedy)
        return
    yield Finding("daemon", State.OK, f"runs, as {status['self']['name']} in {status['mesh']}")
    for alarm in status["alarms"]:
        text = f"{alarm['code']}: {alarm['text']}"
        yield Finding("alarm", State.WARNING, text, "docs/operators.md explains every alarm")
