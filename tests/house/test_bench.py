"""`make bench` finds every benchmark, runs what is asked for, and ends in time."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.__main__ import FAULT, Outcome, alone, benchmarks, listed, main, one, run
from node.lab.errors import LabError


def python(code: str, *, seconds_max: float = 30.0, as_json: bool = True) -> Outcome:
    """Return how a benchmark made of this code ends."""
    return one("made-up", [sys.executable, "-c", code], seconds_max, as_json=as_json)


def test_every_module_is_a_benchmark_that_says_what_it_measures(root: Path) -> None:
    """All of bench/ is found, each with one line about it, and listed for both readers."""
    found = benchmarks(root / "bench")
    modules = {path.stem for path in (root / "bench").glob("*.py")} - {"__main__"}
    assert found.keys() == modules
    assert all(found.values())
    for name in found:
        assert name in listed(found, as_json=False)
        assert f'"{name}"' in listed(found, as_json=True)


def test_a_module_with_an_underscore_is_no_benchmark(tmp_path: Path) -> None:
    """Helpers may stand beside the benchmarks."""
    (tmp_path / "fast.py").write_text('"""How fast it is.\n\nAnd more."""\n')
    (tmp_path / "_shared.py").write_text("")
    assert benchmarks(tmp_path) == {"fast": "How fast it is."}


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name exits with 2, names the right ones, and runs nothing."""
    with pytest.raises(SystemExit) as left:
        main(["no-such"])
    assert left.value.code == 2
    assert "no benchmark 'no-such'; there are: dataplane" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "verdict", "result"),
    [
        ("print('[1]')", "passed", [1]),
        ("print('[1]'); raise SystemExit(1)", "missed", [1]),
        ("raise SystemExit(3)", "failed", None),
        ("import os; os.kill(os.getpid(), 9)", "failed", None),
    ],
)
def test_a_benchmark_tells_its_verdict(code: str, verdict: str, result: object) -> None:
    """The exit code decides, and with it comes the document."""
    outcome = python(code)
    assert (outcome.verdict, outcome.result) == (verdict, result)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LabError("no namespaces here", remedy="be root"), "no namespaces here\n  be root\n"),
        (OSError("the disk is full"), "made-up came to no result"),
    ],
)
def test_a_benchmark_that_comes_to_nothing_is_not_slow(
    error: Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault is told, and ends otherwise than with the 1 of what is too slow."""
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(main=fail))

    def fail() -> int:
        raise error

    assert alone("made-up") == FAULT
    assert said in capsys.readouterr().err + caplog.text


def test_without_json_the_exit_code_alone_decides() -> None:
    """What a benchmark prints for people is not read."""
    outcome = python("print('{')", as_json=False)
    assert (outcome.verdict, outcome.result) == ("passed", None)


def test_a_benchmark_that_takes_too_long_is_ended() -> None:
    """Its time over, a benchmark is late, and does not run on."""
    outcome = python("import time; time.sleep(60)", seconds_max=0.2)
    assert outcome.verdict == "late"
    assert outcome.seconds < 30


def test_no_benchmark_begins_without_time() -> None:
    """Those for which no time is left are named all the same."""
    outcomes = list(run(["dataplane", "footprint"], 0.0, as_json=True))
    assert [(one.name, one.verdict) for one in outcomes] == [
        ("dataplane", "late"),
        ("footprint", "late"),
    ]
