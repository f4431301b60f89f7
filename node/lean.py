"""Import libraries without the parts of them that a daemon never uses.

Some packages import all of themselves in their `__init__`: pyroute2 its databases and diagnostics
sockets, aiohttp its client with a TLS context and certificates. Others draw in an optional package
merely because it is installed. For a program that runs for months on small machines this is a
third of its memory and of its start. The two helpers here leave such parts out, and cannot break
what they serve: whoever asks a bare package for something that only its `__init__` provides gets
it, at the price of the memory.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Bare(ModuleType):
    """A package whose `__init__` runs only when something in it is missed."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(f"{self.__name__}.{name}")
        spec = self.__spec__
        # As importlib.util.LazyLoader does: from here on it is an ordinary module.
        object.__setattr__(self, "__class__", ModuleType)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(self)
        return getattr(self, name)


def bare(package: str) -> None:
    """Let modules of a package be imported without its `__init__`, unless it has run already.

    Args:
        package: the package's name; one that is not installed is left to fail on import.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is not None:
        sys.modules[package] = _module(spec)


def _module(spec: ModuleSpec) -> ModuleType:
    module = _Bare(spec.name)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    module.__package__ = spec.name
    module.__path__ = list(spec.submodule_search_locations or ())
    # Modules of a package ask it for its version, and only to announce it.
    vars(module)["__version__"] = ""
    return module


@contextmanager
def without(package: str) -> Iterator[None]:
    """Let imports within the block find an optional package not installed."""
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment] # as the import system documents it
    try:
        yield
    finally:
        if before is None:
            del sys.modules[package]
        else:
            sys.modules[package] = before
