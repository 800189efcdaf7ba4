"""What every test has in common."""

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # a busy host is no fault of the code
settings.load_profile("shared-machine")
