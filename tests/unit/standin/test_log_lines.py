"""What is printed is kept write by write."""

import io
from contextlib import redirect_stderr, redirect_stdout

from api.standin import log_lines


def test_each_write_is_kept():
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        log_lines.install()
        for piece in ("Exception in thread ", "Thread-1", ":\nTraceback\nhalf"):
            print(piece, end="")
    assert printed.getvalue() == "Exception in thread Thread-1:\nTraceback\nhalf"
    kept = [entry["m"] for entry in log_lines.entries() if entry["m"]]
    assert kept[-3:] == ["Exception in thread ", "Thread-1", ":\nTraceback\nhalf"]
    assert " - :\nTraceback\nhalf" in log_lines.text()
