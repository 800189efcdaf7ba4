"""`kit pack`: a bundle to one file that can be handed in."""

from pathlib import Path

import click

from kit.check.verify import known, verify
from kit.edge.files import archive, checkout, disk
from kit.edge.verify_paths import bundles_at, read_folder
from kit.errors import BundleError, ExitCode, UsageError
from kit.report import verdict_text


def pack(path: Path, output: Path) -> int:
    """Write an archive of the bundle at `path`; one that is invalid is not packed.

    So nothing goes along that the format does not know.
    """
    compression = archive.compression_of(output)
    if compression is None:
        endings = " or ".join(one.value for one in archive.Compression)
        raise UsageError(
            f"cannot tell how to pack {output}",
            f"the name of an archive ends in {endings}",
            f"kit pack {path} -o {output}{archive.Compression.ZSTD.value}",
        )
    _require_one_bundle(path)
    if output.resolve().is_relative_to(path.resolve()):
        raise UsageError(
            f"{output} is inside of the bundle",
            "a bundle holds nothing but what was sealed",
            f"kit pack {path} -o {path.resolve().name}{compression.value}",
        )
    folder = read_folder(path)
    held_against = known(checkout.schemas(), checkout.catalog())
    verdict, _ = verify(str(path), folder.files, folder.refused, held_against)
    if verdict.exit_code is ExitCode.BUNDLE_INVALID or verdict.id is None:
        click.echo("\n".join(verdict_text.lines(verdict)), err=True)
        raise BundleError(
            f"{path} is not packed: it is not a valid bundle",
            "an archive is for handing in, and this would be sent back",
            f"kit verify {path}",
        )
    name = f"bundle-{verdict.id[:16]}"
    disk.overwrite(output, archive.pack(folder.files, name, compression))
    click.echo(output)
    return ExitCode.DONE


def _require_one_bundle(path: Path) -> None:
    inside = bundles_at(path)
    if list(inside) != [path]:
        raise UsageError(
            f"{path} is a folder of {len(inside)} bundles",
            "an archive holds one",
            f"kit pack {inside[0]} -o FILE{archive.Compression.ZSTD.value}",
        )
