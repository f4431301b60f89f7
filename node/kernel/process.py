"""Run a helper program to its end, without a shell and with a bound on its time."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto.errors import LocalError

TIMEOUT_SECONDS = 30.0


class MissingProgramError(LocalError):
    """A program that Hedgerow drives is not installed. Nothing was changed."""


class ProgramTimeoutError(LocalError):
    """A program did not end in time and was killed. What it had done by then is unknown."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended.

    Attributes:
        returncode: Its exit status; negative when a signal ended it.
        stdout: What it wrote to standard output.
        stderr: What it wrote to standard error, decoded and stripped.
        pid: Its process number.
    """

    returncode: int
    stdout: bytes
    stderr: str
    pid: int = 0


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Completed:
    """Run `argv` with `stdin` as its input and wait for it.

    The program gets a session of its own, so that a Ctrl-C meant for the daemon does not end it
    half-way, and so that what it leaves running outlives the daemon's terminal.

    Raises:
        MissingProgramError: There is no such program. Nothing was changed.
        ProgramTimeoutError: It ran for more than `timeout_seconds` and was killed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise MissingProgramError(
            f"the program {argv[0]} cannot be started: {error.strerror}",
            remedy=f"install {argv[0]} or put it in the daemon's PATH",
        ) from error
    try:
        async with asyncio.timeout(timeout_seconds):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError as error:
        raise ProgramTimeoutError(
            f"the program {argv[0]} did not end within {timeout_seconds:g} seconds",
            remedy="look at the load of this machine and at the kernel's log",
        ) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        code = await process.wait()
    return Completed(code, stdout, stderr.decode(errors="replace").strip(), process.pid)
