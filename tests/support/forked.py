"""Processes that begin where a prepared one stands: its imports, which cost more than many a test, are made once.

They are forked by Python's fork server and share nothing with the tests: a kill, a stop and a crash are real.
"""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["api.standin.__main__"])


class Forked:
    """The `main` of a module as a program of its own; `output` is what it prints, to be read line by line."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        reader, writer = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(target=_run, args=(module, list(arguments), writer), daemon=True)
        self._process.start()
        writer.close()
        self.output = os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace")
        reader.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float) -> int:
        """Wait until it has ended; the exit code."""
        self._process.join(timeout_s)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"process {self.pid} runs on after {timeout_s} s")
        return code


def _run(module: str, arguments: list[str], output: Connection) -> None:
    for descriptor in (sys.__stdout__, sys.__stderr__):
        assert descriptor is not None
        os.dup2(output.fileno(), descriptor.fileno())
    output.close()
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
