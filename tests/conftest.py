"""Settings of all tests."""

import signal

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # a busy host is no bug
settings.load_profile("shared-machine")

# A shell in the background ignores SIGINT, and so does every process started from it: tests that
# interrupt a program would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
