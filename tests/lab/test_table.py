"""The table in which `hedgerow demo` shows its outcome."""

import io
from itertools import permutations

from rich.console import Console

from node.lab.showcase.report import Check
from node.lab.showcase.table import _matrix

NAMES = ("gateway", "eng-laptop", "intern-laptop", "prod-db-1", "prod-web-1", "contractor-laptop")


def test_six_machines_fit_on_a_small_terminal() -> None:
    """At 80 columns no name is cut, and all ports that answered stand side by side."""
    checks = [
        Check(f"{source} -> {target}:tcp/{port}", "allow", "allow")
        for source, target in permutations(NAMES, 2)
        for port in ((22, 443, 5432) if target == "prod-db-1" else (22, 443))
    ]
    screen = io.StringIO()
    Console(file=screen, width=80).print(_matrix(checks))
    shown = screen.getvalue()
    assert "…" not in shown
    assert shown.count("22 443 5432") == len(NAMES) - 1
    for name in NAMES:
        assert sum(line.split()[:1] == [name] for line in shown.splitlines()) == 1


def test_a_port_that_answers_against_the_policy_is_marked() -> None:
    """What is not as the policy says stands out in its cell."""
    wrong = Check("gateway -> eng-laptop:tcp/22", expected="deny", observed="allow")
    right = Check("eng-laptop -> gateway:tcp/22", expected="deny", observed="deny")
    screen = io.StringIO()
    Console(file=screen, width=80).print(_matrix([wrong, right]))
    assert "22!" in screen.getvalue()
