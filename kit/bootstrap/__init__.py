"""Set-up: installs the kit's environments with a bare Python.

Run as ``python3 -m kit.bootstrap kit|dev|engine`` from the root of the checkout, with the system's
Python. It runs before any package is installed, so it uses the standard library alone.
"""
