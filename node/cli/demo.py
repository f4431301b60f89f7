"""`hedgerow demo`: a whole mesh on one machine, tried with real packets."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from node.lab.netns import Lab
    from node.lab.showcase.report import Report

LAB_PREFIX = "hgdemo"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no progress.")
@click.option("--keep", is_flag=True, help="Leave the mesh up, and say how to look around.")
@click.option("--remove", metavar="NAME", help="Remove a mesh that --keep left up.")
def demo(*, as_json: bool, keep: bool, remove: str | None) -> None:
    """Bring up a company's mesh in network namespaces and try its whole policy.

    Real daemons, real WireGuard, real NAT and real packets, in namespaces of this machine only;
    nothing outside them is touched, and everything is removed at the end.
    """
    if remove is not None:
        _remove(remove)
        return
    sys.exit(_play(as_json=as_json, keep=keep))


def _play(*, as_json: bool, keep: bool) -> int:
    from node.lab.netns import Lab, ended_by_signals, require_root
    from node.lab.showcase.report import Report
    from node.lab.showcase.scenes import Showcase

    began = time.monotonic()
    report = Report(say=(lambda _line: None) if as_json else click.echo)
    lab = Lab(f"{LAB_PREFIX}{os.getpid()}")
    kept = False
    with ended_by_signals():
        folder = Path(tempfile.mkdtemp(prefix=f"{lab.prefix}-"))
        try:
            require_root()
            Showcase(lab, folder, report).play()
            report.timing("whole_demo", time.monotonic() - began)
            kept = keep
        finally:
            if not kept:
                lab.close()
                shutil.rmtree(folder, ignore_errors=True)
    _show(report, as_json=as_json)
    if kept and not as_json:
        _explain(lab, folder)
    return 0 if report.ok else 1


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json()))
        return
    from node.lab.showcase.table import render

    render(report)
    failed = [check for check in report.checks if not check.ok]
    click.echo(f"{len(report.checks) - len(failed)} of {len(report.checks)} checks hold.")


def _explain(lab: Lab, folder: Path) -> None:
    inside = f"ip netns exec {lab.prefix}-eng-laptop"
    hedgerow = _command()
    state = folder / "eng-laptop"
    click.echo(f"""
The mesh is still up. Look around as one of its machines:
  {inside} {hedgerow} --state {state} status
  {inside} {hedgerow} --state {state} peers
  {inside} {hedgerow} --state {state} why eng-laptop prod-db-1:tcp/5432
  {inside} bash
Remove it with:
  {hedgerow} demo --remove {lab.prefix}""")


def _command() -> str:
    """Return what to type for `hedgerow`: its path where the shell would not find this one."""
    here = Path(sys.executable).with_name("hedgerow")
    found = shutil.which("hedgerow")
    return "hedgerow" if found and Path(found).resolve() == here.resolve() else str(here)


def _remove(name: str) -> None:
    from node.lab.netns import Lab

    Lab.adopt(name).close()
    for folder in Path(tempfile.gettempdir()).glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"removed {name}")
