"""An engine as a process of this machine."""
