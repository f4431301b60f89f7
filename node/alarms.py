"""What a person should know: alarms, by code, each logged when it comes and when it goes."""

from collections.abc import Iterator

from crypto.errors import HedgerowError
from node import log

ALARMS_MAX = 64


class Alarms:
    """The alarms that stand now, the oldest first."""

    def __init__(self) -> None:
        self._standing: dict[str, str] = {}
        self._log = log.get("alarms")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield code and text of each."""
        return iter(self._standing.items())

    def stand(self, code: str, text: str) -> None:
        """Let an alarm stand; beyond the bound the oldest one is forgotten."""
        if self._standing.get(code) == text:
            return
        self._log.warning("alarm", code=code, text=text)
        self._standing.pop(code, None)
        self._standing[code] = text
        if len(self._standing) > ALARMS_MAX:
            del self._standing[next(iter(self._standing))]

    def stand_error(self, code: str, error: HedgerowError) -> None:
        """Let an error stand as an alarm, with its remedy."""
        self.stand(code, f"{error} ({error.remedy})" if error.remedy else str(error))

    def clear(self, code: str) -> None:
        """End an alarm, if it stands."""
        if self._standing.pop(code, None) is not None:
            self._log.info("alarm over", code=code)

    def set(self, code: str, text: str, *, stands: bool) -> None:
        """Let an alarm stand or end it."""
        if stands:
            self.stand(code, text)
        else:
            self.clear(code)
