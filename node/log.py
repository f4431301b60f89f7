"""Logs: structlog on stderr, one line an event, for people or as JSON."""

import sys

from node import lean

# It would draw tracebacks with it, and the values of local variables in them: keys, here.
with lean.without("rich"):
    import structlog
    from structlog.tracebacks import ExceptionDictTransformer
    from structlog.typing import FilteringBoundLogger, Processor


def configure(*, json: bool = False, debug: bool = False) -> None:
    """Set up logging for this process."""
    render: list[Processor]
    if json:
        tracebacks = ExceptionDictTransformer(show_locals=False)
        render = [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if debug else "info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(area: str) -> FilteringBoundLogger:
    """Return the logger of one area of the daemon."""
    logger: FilteringBoundLogger = structlog.get_logger(area=area)
    return logger
