"""What every test has in common."""

import signal

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # a busy host is no fault of the code
settings.load_profile("shared-machine")

# A shell ignores Ctrl-C for what it starts in the background, and what that starts ignores it too:
# tests that interrupt a program would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
