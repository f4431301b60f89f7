"""Lengths of time as documents write them: a number and s, m, h or d."""

import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> int:
    """Read a length of time, in seconds.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no length of time; write a number with s, m, h or d')
    return int(match[1]) * _SECONDS[match[2]]


def duration_text(seconds: int) -> str:
    """Write a length of time in the largest unit that fits."""
    exact = (each for each in _SECONDS.items() if seconds % each[1] == 0)
    unit, length = next(exact)
    return f"{seconds // length}{unit}"
