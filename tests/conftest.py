"""What holds for all tests."""

import signal

# A shell that runs them in the background has them ignore Ctrl-C or its own end, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
