"""Put the plan into the kernel through nft, one transaction at a time.

The rules that are in force stay in force whatever fails: nft applies a file whole or not at all.
What the kernel holds is remembered between calls, so that a change costs its own size; the table
is read back at the start, after any failure, and when the daemon asks.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from node.engine.desired import FirewallPlan
from node.kernel.firewall.content import EMPTY, Content, same, wanted
from node.kernel.firewall.delta import diff
from node.kernel.firewall.errors import FirewallError, UnreadableTableError
from node.kernel.firewall.plan import (
    CHAINS,
    COUNTERS,
    SETS,
    check_table,
    render_base,
    render_remove,
)
from node.kernel.firewall.readback import Readback, parse
from node.kernel.process import Completed, MissingProgramError, ProgramTimeoutError, run

# A step of the wall clock against the monotonic one (or a suspend, in which the kernel's timeouts
# stand still) by more than this sets every deadline anew. A slower drift stays under the
# kernel's own granularity for as long as it takes to add up.
CLOCK_STEP_SECONDS_MAX = 0.1

# Whoever is told of a change asks soon who it was; process numbers come round again.
WRITERS_MAX = 16

_OBJECTS = frozenset(
    [definition.format(name).partition(" {")[0] for name, definition in SETS.items()]
    + [f"chain {name}" for name in CHAINS]
    + [f"counter {name}" for name in COUNTERS]
)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the last change reached the kernel.

    Attributes:
        ok: True when the kernel holds what was last asked for.
        message: What failed, or an empty string.
        remedy: What to do about it, or an empty string.
    """

    ok: bool
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Installed:
    """What we know the kernel to hold.

    Attributes:
        base: The text that made the table.
        content: The elements.
        clock_offset: Wall minus monotonic clock that the deadlines were computed with; 0 when
            they are monotonic, as after a read.
        strange: The table has sets or chains of another version, and must be replaced whole.
    """

    base: str
    content: Content
    clock_offset: float
    strange: bool = False


class Firewall:
    """The node's own nftables table.

    Calls may overlap; they run one after the other.

    Args:
        nft: The program to run.
        table: The name of the table, in family inet.
        monotonic: The clock that the kernel's timeouts run on.
    """

    def __init__(
        self,
        nft: str = "nft",
        table: str = "hedgerow",
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nft = nft
        self._table = check_table(table)
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._installed: _Installed | None = None
        self._rules: tuple[str, ...] = ()
        self._writers: deque[int] = deque(maxlen=WRITERS_MAX)
        self._health = Health(ok=False, message="the firewall is not installed")

    @property
    def health(self) -> Health:
        """Whether the last change reached the kernel."""
        return self._health

    @property
    def table(self) -> str:
        """The name of the table, in family inet."""
        return self._table

    @property
    def writers(self) -> frozenset[int]:
        """The process numbers of the last programs that changed the table for us."""
        return frozenset(self._writers)

    async def install(self, plan: FirewallPlan) -> None:
        """Put the table in place; keep what an earlier daemon's table still allows.

        On an empty kernel this is a static deny: chains that refuse everything on the tunnel,
        with no grant yet. Over an existing table it replaces the rules without touching the
        elements, so no flow is cut. The plan's grants come with the first `apply`.

        Raises:
            FirewallError: nft is missing or refused. What was in force still is.
        """
        async with self._lock:
            await self._watched(self._install(plan))

    async def apply(self, plan: FirewallPlan, now: float) -> None:
        """Make the kernel hold exactly `plan` at `now` (Unix seconds), in one transaction.

        Raises:
            FirewallError: nft is missing or refused. What was in force still is.
        """
        clock_offset = now - self._monotonic()
        async with self._lock:
            await self._watched(self._apply(plan, clock_offset))

    async def readback(self) -> Readback | None:
        """Read the table from the kernel, or None when there is none.

        Deadlines are Unix seconds by the clock of the last `apply`, up to one second early.

        Raises:
            FirewallError: nft is missing, refused, or printed something unknown.
        """
        async with self._lock:
            return await self._list()

    async def verify(self, *, elements: bool = False) -> bool:
        """Say whether the kernel still holds what was last applied.

        When another program has changed or flushed the table, the answer is False, and the next
        `apply` reads it back and repairs it.

        Args:
            elements: Compare the elements too, which costs as much as the table is long. A lost
                element only denies; lost rules would open the tunnel, so the rules are always
                compared.

        Raises:
            FirewallError: nft is missing, refused, or printed something unknown.
        """
        async with self._lock:
            if self._installed is None:
                # The last change failed; health says why, and the next one looks for itself.
                return False
            found = await self._list() if elements else await self._list("-t")
            intact = self._intact(self._installed, found, elements=elements)
            if not intact:
                self._installed = None
                self._health = Health(
                    ok=False,
                    message="the firewall's table is not what this node installed",
                    remedy="find the program that changes it; the next update repairs it",
                )
            return intact

    def _intact(self, known: _Installed, found: Readback | None, *, elements: bool) -> bool:
        if found is None or found.rules != self._rules:
            return False
        now = self._monotonic() + known.clock_offset
        return not elements or same(found.content, known.content, now)

    async def remove(self) -> None:
        """Delete the table, and with it every grant and the deny.

        Raises:
            FirewallError: nft is missing or refused. What was in force still is.
        """
        async with self._lock:
            await self._load(render_remove(self._table))
            self._installed = None
            self._health = Health(ok=False, message="the firewall is not installed")

    async def _watched(self, work: Coroutine[None, None, None]) -> None:
        """Await `work` and keep its outcome as our health."""
        try:
            await work
        except FirewallError as error:
            self._health = Health(ok=False, message=error.message, remedy=error.remedy)
            raise
        self._health = Health(ok=True)

    async def _install(self, plan: FirewallPlan) -> None:
        known = await self._look()
        base = render_base(plan, table=self._table)
        try:
            if known.strange:
                await self._replace(base, known)
            else:
                await self._load(base)
        except FirewallError:
            # A set of another version may stand under the name of one of ours.
            if known.strange:
                raise
            await self._replace(base, known)
        await self._loaded(_Installed(base, known.content, known.clock_offset))

    async def _replace(self, base: str, known: _Installed) -> None:
        """Swap the table of another version for ours, keeping its grants, in one transaction."""
        now = known.clock_offset + self._monotonic()
        elements = await asyncio.to_thread(diff, EMPTY, known.content, now, table=self._table)
        await self._load("\n".join([render_remove(self._table) + base, *elements, ""]))

    async def _apply(self, plan: FirewallPlan, clock_offset: float) -> None:
        try:
            await self._change(plan, clock_offset)
        except FirewallError:
            # Perhaps another program touched the table, or an earlier attempt was killed midway:
            # look, and try once more from what is really there.
            self._installed = None
            await self._change(plan, clock_offset)

    async def _change(self, plan: FirewallPlan, clock_offset: float) -> None:
        """Load the difference between what is installed and `plan`."""
        known = self._installed or await self._look()
        step = clock_offset - known.clock_offset
        if abs(step) < CLOCK_STEP_SECONDS_MAX:
            step, clock_offset = 0.0, known.clock_offset
        now = clock_offset + self._monotonic()
        base = render_base(plan, table=self._table)
        content, commands = await asyncio.to_thread(self._difference, known, plan, step, now)
        if base != known.base:
            prefix = render_remove(self._table) if known.strange else ""
            commands.insert(0, prefix + base)
        if commands:
            # Until the kernel has answered, nobody knows what it holds.
            self._installed = None
            await self._load("\n".join([*commands, ""]))
        after = _Installed(base, content, clock_offset)
        if base != known.base:
            await self._loaded(after)
        self._installed = after

    def _difference(
        self, known: _Installed, plan: FirewallPlan, step: float, now: float
    ) -> tuple[Content, list[str]]:
        """Compare and render: the part that takes long, run beside the event loop."""
        before = known.content.shifted(step) if step else known.content
        if known.strange:
            before = EMPTY
        after = wanted(plan, now)
        return after, diff(before, after, now, table=self._table)

    async def _look(self) -> _Installed:
        """Return what the kernel holds, under rules we do not know: the next change loads ours."""
        self._installed = None
        try:
            found = await self._list()
        except UnreadableTableError:
            return _Installed("", EMPTY, clock_offset=0.0, strange=True)
        if found is None:
            return _Installed("", EMPTY, clock_offset=0.0)
        strange = not found.objects <= _OBJECTS
        return _Installed("", found.content, clock_offset=0.0, strange=strange)

    async def _loaded(self, installed: _Installed) -> None:
        """Remember new rules as the kernel prints them, for `verify`."""
        found = await self._list("-t")
        self._rules = found.rules if found else ()
        self._installed = installed

    async def _list(self, *flags: str) -> Readback | None:
        done = await self._run(*flags, "-n", "-j", "list", "table", "inet", self._table)
        if done.returncode and "No such file or directory" in done.stderr:
            return None
        self._check(done)
        offset = self._installed.clock_offset if self._installed else 0.0
        return await asyncio.to_thread(parse, done.stdout, offset + self._monotonic())

    async def _load(self, text: str) -> None:
        self._check(await self._run("-f", "-", stdin=text.encode()))

    async def _run(self, *arguments: str, stdin: bytes = b"") -> Completed:
        try:
            done = await run([self._nft, *arguments], stdin=stdin)
        except (MissingProgramError, ProgramTimeoutError) as error:
            raise FirewallError(error.message, remedy=error.remedy) from error
        if stdin:
            self._writers.append(done.pid)
        return done

    def _check(self, done: Completed) -> None:
        """Raise what nft complained of."""
        if done.returncode == 0:
            return
        lines = [
            line for line in done.stderr.splitlines() if "rror" in line or "permitted" in line
        ]
        reason = lines[0][:200] if lines else f"exit status {done.returncode}"
        if "not permitted" in done.stderr:
            remedy = "run the daemon as root, or with the capability CAP_NET_ADMIN"
        else:
            remedy = "the rules from before are still in force; see `nft list ruleset`"
        raise FirewallError(f"nft refused the firewall's rules: {reason}", remedy=remedy)
