"""Helper programs are run to their end, or not at all."""

import asyncio
import os
from pathlib import Path

import pytest

from node.kernel.process import MissingProgramError, ProgramTimeoutError, run


async def test_input_output_and_status_come_through() -> None:
    """What a program reads, prints, complains of and returns."""
    done = await run(["sh", "-c", "cat; echo no good >&2; exit 3"], stdin=b"some text")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"some text", "no good")


async def test_a_program_gets_the_environment_it_is_given() -> None:
    """With `env` nothing else is passed on, so nothing leaks."""
    done = await run(["/usr/bin/env"], env={"ONLY": "this"})
    assert done.stdout == b"ONLY=this\n"


async def test_a_program_has_a_session_of_its_own() -> None:
    """A Ctrl-C meant for the daemon does not end it half-way."""
    done = await run(["sh", "-c", "cut -d' ' -f6 /proc/self/stat"])
    assert int(done.stdout) != os.getsid(0)


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """A program that is not there, or may not be run, is an error with a way out."""
    plain = tmp_path / "nft"
    plain.touch(mode=0o644)
    for path in ("no-such-program", str(plain)):
        with pytest.raises(MissingProgramError, match="cannot be started") as caught:
            await run([path])
        assert path in caught.value.remedy


async def test_a_program_that_hangs_is_killed() -> None:
    """After its time a program is killed, and the error says how long it had."""
    with pytest.raises(ProgramTimeoutError, match=r"within 0\.05 seconds"):
        await run(["sleep", "60"], timeout_seconds=0.05)


async def test_a_cancelled_call_leaves_no_program_behind(tmp_path: Path) -> None:
    """When the daemon stops in the middle, the program is killed with the call."""
    mark = tmp_path / "pid"
    task = asyncio.create_task(
        run(["sh", "-c", f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60"])
    )
    while not mark.exists():  # noqa: ASYNC110 - another process's file
        await asyncio.sleep(0.01)
    pid = int(mark.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
