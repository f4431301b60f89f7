"""Hear at once when the wall clock is set, and when the machine wakes from suspend.

A timer on the wall clock that is cancelled by such a jump (timerfd_create(2),
TFD_TIMER_CANCEL_ON_SET) makes its descriptor readable. Python has it from 3.13 on; until then
these three calls go through ctypes.
"""

import ctypes
import errno
import os

_CLOCK_REALTIME = 0
_TFD_TIMER_ABSTIME = 1
_TFD_TIMER_CANCEL_ON_SET = 2
# As far away as every kernel takes: the year 2106.
_NEVER = 0xFFFF_FFFF


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class ClockWatch:
    """A descriptor that becomes readable when the wall clock jumps.

    Raises:
        OSError: the system has no such timers.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._arm()

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._descriptor)

    def acknowledge(self) -> bool:
        """Make it ready for the next jump; return whether there had been one."""
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm()
        return True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def _arm(self) -> None:
        at = _Itimerspec(_Timespec(0, 0), _Timespec(_NEVER, 0))
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        if self._libc.timerfd_settime(self._descriptor, flags, ctypes.byref(at), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
