"""What holds for all tests."""

import signal

# A shell that runs them in the background has them ignore Ctrl-C, and every process they start would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)
