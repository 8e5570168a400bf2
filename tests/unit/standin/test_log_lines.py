"""Printed lines are kept whole, however they are written."""

import io
from contextlib import redirect_stderr, redirect_stdout

from api.standin import log_lines


def test_pieces_make_one_line():
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        log_lines.install()
        for piece in ("Exception in thread ", "Thread-1", ":\nTraceback\nhalf"):
            print(piece, end="")
    assert printed.getvalue() == "Exception in thread Thread-1:\nTraceback\nhalf"
    assert [entry["m"] for entry in log_lines.entries()][-2:] == ["Exception in thread Thread-1:\n", "Traceback\n"]
    assert log_lines.text().endswith(" - Traceback\n")
