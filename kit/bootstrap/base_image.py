"""The image that all others stand on, as `docker build` is told of it: `NAME:TAG` and its digest.

    python3 -m kit.bootstrap.base_image

Standard library alone: `make images` asks before anything is installed.
"""

import tomllib

from kit.bootstrap.layout import checkout


def reference(toml: str) -> str:
    """Return what `docker/images.toml` names; without a digest where none is pinned yet."""
    base = tomllib.loads(toml)["base"]
    digest = f"@{base['digest']}" if base["digest"] else ""
    return f"{base['name']}:{base['tag']}{digest}"


if __name__ == "__main__":
    print(reference((checkout().root / "docker" / "images.toml").read_text(encoding="utf-8")))
