"""Set-up: makes the environments that everything else runs in, from a bare Python.

Run as ``python3 -m kit.bootstrap kit|dev|engine`` from the root of the checkout, with the machine's
own Python. This is the only code that runs before any requirement is installed, so it uses the
standard library alone. It knows nothing of benchmarks.
"""
