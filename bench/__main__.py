"""Every benchmark of this folder, one after another, within a bounded time.

A benchmark is a module of this folder that can be run by itself: `python -m bench.NAME`. It takes
`--json`, and then prints one JSON document; its `main()` returns 0 when what it measured is as
good as it must be, and 1 when it is not. Each runs in a process of its own, so that none inherits
the memory, the threads or the signal handlers of another.

    sudo make bench
    sudo make bench ARGS=--list
    sudo make bench ARGS="dataplane footprint --json"
"""

import argparse
import ast
import importlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import HedgerowError

FOLDER = Path(__file__).resolve().parent
# All benchmarks together; one that is still running then is ended.
MINUTES_MAX = 20.0
# An ended benchmark removes the namespaces that it made.
LEAVE_SECONDS_MAX = 20.0
VERDICTS = {0: "passed", 1: "missed"}
# How a benchmark's process ends without a result; Python's own 1 would say that it is slow.
FAULT = 3
ALONE = "import sys; from bench.__main__ import alone; sys.exit(alone(sys.argv.pop(1)))"


@dataclass(frozen=True)
class Outcome:
    """How one benchmark ended.

    Attributes:
        name: the benchmark.
        verdict: passed, missed (slower than needed), failed (gave no result) or late (out of
            time: ended, or never begun).
        seconds: how long it ran.
        result: the document that it printed, under --json.
    """

    name: str
    verdict: str
    seconds: float
    result: object = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for, and return 0 when every benchmark passed."""
    found = benchmarks(FOLDER)
    options = parse(arguments, found)
    if options.list:
        print(listed(found, as_json=options.json))
        return 0
    outcomes = []
    for outcome in run(options.names or list(found), options.minutes * 60, as_json=options.json):
        outcomes.append(outcome)
        print(f"{outcome.name}: {outcome.verdict}, {outcome.seconds:.0f} s", file=sys.stderr)
    passed = all(outcome.verdict == "passed" for outcome in outcomes)
    if options.json:
        print(json.dumps({"passed": passed, "benchmarks": list(map(vars, outcomes))}, indent=2))
    return 0 if passed else 1


def parse(arguments: Sequence[str] | None, found: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line; a wrong one exits with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="run only these")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES_MAX,
        help=f"for all together, at most (default {MINUTES_MAX:.0f})",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in found]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are: {', '.join(found)}")
    return options


def benchmarks(folder: Path) -> dict[str, str]:
    """Return the name of each benchmark and what it measures, without importing any."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        for path in sorted(folder.glob("[!_]*.py"))
    }


def listed(found: Mapping[str, str], *, as_json: bool) -> str:
    """Return what there is, for machines or for people."""
    if as_json:
        return json.dumps([{"name": name, "about": about} for name, about in found.items()])
    width = max(map(len, found))
    return "\n".join(f"{name:{width}}  {about}" for name, about in found.items())


def run(names: Sequence[str], seconds_max: float, *, as_json: bool) -> Iterator[Outcome]:
    """Run benchmarks in turn; yield how each ended, also those for which no time was left."""
    until = time.monotonic() + seconds_max
    for name in names:
        command = [sys.executable, "-c", ALONE, name, *(["--json"] if as_json else [])]
        if not as_json:
            print(f"\n{name}", flush=True)
        yield one(name, command, until - time.monotonic(), as_json=as_json)


def one(name: str, command: Sequence[str], seconds_max: float, *, as_json: bool) -> Outcome:
    """Run one benchmark to its end, or to the end of its time."""
    if seconds_max <= 0:
        return Outcome(name, "late", 0.0)
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=FOLDER.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if as_json else None,
        text=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            end(process)
            return Outcome(name, "late", time.monotonic() - began)
        except BaseException:
            end(process)
            raise
    seconds = time.monotonic() - began
    verdict = VERDICTS.get(process.returncode, "failed")
    result = json.loads(told) if as_json and verdict != "failed" else None
    return Outcome(name, verdict, seconds, result)


def alone(name: str) -> int:
    """Run one benchmark in this process, tell what kept it from a result, return how it ended."""
    try:
        return int(importlib.import_module(f"bench.{name}").main())
    except HedgerowError as error:
        print(f"{error.message}\n  {error.remedy}", file=sys.stderr)
    except Exception:
        logging.getLogger("bench").exception("%s came to no result", name)
    return FAULT


def end(process: subprocess.Popen[str]) -> None:
    """End a process, by force if it does not leave in time."""
    process.terminate()
    try:
        process.communicate(timeout=LEAVE_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
