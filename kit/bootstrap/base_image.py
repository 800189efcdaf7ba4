"""Prints the base of all images for `docker build`: `NAME:TAG@DIGEST`.

    python3 -m kit.bootstrap.base_image

Standard library alone: `make images` runs it before anything is installed.
"""

import tomllib

from kit.bootstrap.layout import checkout


def reference(toml: str) -> str:
    """Return the base in `docker/images.toml`, without a digest where none is pinned."""
    base = tomllib.loads(toml)["base"]
    digest = f"@{base['digest']}" if base["digest"] else ""
    return f"{base['name']}:{base['tag']}{digest}"


if __name__ == "__main__":
    print(reference((checkout().root / "docker" / "images.toml").read_text(encoding="utf-8")))
