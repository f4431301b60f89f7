"""The throughput benchmark runs, compares like with like, and says so in both forms."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.dataplane import GRANTS, NEEDED, Pairs, Turn, document, table


def pairs() -> list[Pairs]:
    """Return a finished measurement."""
    return [
        Pairs(
            grants,
            [Turn(90.0, 2.0), Turn(99.0, 2.2), Turn(96.0, 2.1)],
            [Turn(100.0, 2.0), Turn(100.0, 2.0), Turn(100.0, 2.0)],
        )
        for grants in GRANTS
    ]


def test_the_median_of_the_pairs_counts() -> None:
    """One bad pair does not decide, and the verdict follows the ratio."""
    found = document(pairs(), 1.0)
    assert found["needed"] == NEEDED
    assert found["passed"] is True
    first = pairs()[0]
    assert (first.ratio, first.cpu_ratio) == (0.96, 1.05)
    worse = [Pairs(10, [Turn(90.0, 2.0)], [Turn(100.0, 2.0)])]
    assert document(worse, 1.0)["passed"] is False


def test_the_table_shows_each_kind() -> None:
    """There is a line for each number of grants, and one that says what is needed."""
    lines = table(pairs(), 12.0).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["10", "10,000"]
    assert "0.960" in lines[1]
    assert "needed 0.95" in lines[-1]


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_benchmark_measures_both_tunnels(root: Path) -> None:
    """A short run gives a throughput for every turn."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.dataplane", "--json", "--rounds=1", "--wait=0"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    # Whether it is fast enough is for a quiet machine to say.
    assert done.returncode in {0, 1}, done.stderr
    found = json.loads(done.stdout)
    assert [result["grants"] for result in found["results"]] == list(GRANTS)
    for result in found["results"]:
        for way in ("by_hand", "ours"):
            (mbits,) = result[way]["mbits"]
            assert mbits > 1
        assert 0.01 < result["ratio"] < 100
