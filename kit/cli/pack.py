"""`kit pack`: packs a bundle into one file."""

from pathlib import Path

import click

from kit.check.verify import known, verify
from kit.edge.files import archive, checkout, disk
from kit.edge.verify_paths import bundles_at, read_folder
from kit.errors import BundleError, ExitCode, UsageError
from kit.report import verdict_text


def pack(path: Path, output: Path) -> int:
    """Write an archive of the bundle at `path`; raise `BundleError` for an invalid one."""
    compression = archive.compression_of(output)
    if compression is None:
        endings = " or ".join(it.value for it in archive.Compression)
        raise UsageError(
            f"unknown archive format: {output}",
            f"expected a name that ends in {endings}",
            f"kit pack {path} -o {output}{archive.Compression.ZSTD.value}",
        )
    _require_one_bundle(path)
    if output.resolve().is_relative_to(path.resolve()):
        raise UsageError(
            f"{output} is inside of the bundle",
            "a bundle must not contain other files than those that were sealed",
            f"kit pack {path} -o {path.resolve().name}{compression.value}",
        )
    folder = read_folder(path)
    expected = known(checkout.schemas(), checkout.catalog())
    verdict, _ = verify(str(path), folder.files, folder.refused, expected)
    if verdict.exit_code is ExitCode.BUNDLE_INVALID or verdict.id is None:
        click.echo("\n".join(verdict_text.lines(verdict)), err=True)
        raise BundleError(
            f"{path} was not packed: it is not a valid bundle",
            "archives are for handing in, and an invalid bundle is not accepted",
            f"kit verify {path}",
        )
    name = f"bundle-{verdict.id[:16]}"
    disk.overwrite(output, archive.pack(folder.files, name, compression))
    click.echo(output)
    return ExitCode.DONE


def _require_one_bundle(path: Path) -> None:
    bundles = bundles_at(path)
    if list(bundles) != [path]:
        raise UsageError(
            f"{path} is a folder of {len(bundles)} bundles",
            "an archive holds one bundle",
            f"kit pack {bundles[0]} -o FILE{archive.Compression.ZSTD.value}",
        )
