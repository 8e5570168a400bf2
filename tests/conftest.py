"""What holds for all tests."""

import signal

from hypothesis import settings

# A shell that runs them in the background has them ignore Ctrl-C or its own end, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Less than hypothesis' hundred, many of whose examples tell the same; --hypothesis-profile=default has them all.
settings.register_profile("brief", max_examples=40)
settings.load_profile("brief")
