"""Options that several commands share, and the types of their values."""

import re
from collections.abc import Callable
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
LONGEST_S = 86400
FILE = click.Path(path_type=Path, dir_okay=False)


def split(_context: object, _option: object, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in `moe,dense` or `moe dense`, each once."""
    names = (name for value in values for name in re.split("[ ,]+", value) if name)
    return tuple(dict.fromkeys(names))


def seconds(_context: object, _option: object, value: str | None) -> float | None:
    """Return the seconds of `90s`, `30m` or `2h`."""
    if value is None or not value:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smh]?)", value)
    length_s = 0 if found is None else int(found[1]) * {"m": 60, "h": 3600}.get(found[2], 1)
    if not 1 <= length_s <= LONGEST_S:
        raise click.BadParameter(f"not a time from 1s to 24h: {value}")
    return float(length_s)


def numbers(context: object, option: object, values: tuple[str, ...]) -> tuple[int, ...]:
    """Return the numbers in `1,2,4`, each once."""
    names = split(context, option, values)
    if wrong := [name for name in names if not name.isdecimal() or int(name) == 0]:
        raise click.BadParameter(f"not a number of agents: {wrong[0]}")
    return tuple(map(int, names))


def cell_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that choose the cells to run."""
    options = (
        click.option("--topology", help="A file of compose/; by default cpu-tp1."),
        click.option(
            "--model",
            "models",
            multiple=True,
            callback=split,
            help="Names, also several with commas; by default moe and dense, or their twins.",
        ),
        click.option("--suite", default="single", show_default=True, help="A folder of prompts/."),
        click.option(
            "--agents",
            multiple=True,
            callback=numbers,
            help="Of suite swarm: how many work at once, also several with commas; by default "
            "1,2,4,8.",
        ),
        click.option(
            "--passes",
            type=click.IntRange(1, 1000),
            help="Measured passes; by default 5, with --protocol article 1.",
        ),
        click.option(
            "--duration",
            "duration_s",
            metavar="TIME",
            callback=seconds,
            help="Of suite swarm: measured passes for so long, as 90s, 30m or 2h.",
        ),
        click.option(
            "--protocol",
            default="kit",
            show_default=True,
            help="`kit`, or `article`: one pass, a new connection a request, no streaming pass.",
        ),
        click.option(
            "--cache",
            default="warm",
            show_default=True,
            help="`warm`, or `cold`: a salt in each request keeps it out of the prefix cache.",
        ),
        click.option("--eager", is_flag=True, help="Start the engine without CUDA graphs."),
        click.option(
            "--no-prefix-cache",
            "prefix_cache",
            flag_value=False,
            default=True,
            help="Start the engine without its prefix cache.",
        ),
        click.option(
            "--connection",
            help="`kept`, or `per-request`: by default as the protocol has it.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.IntRange(1, 86400),
            default=600,
            show_default=True,
            help="Seconds for one request.",
        ),
        click.option(
            "--runtime",
            help="`docker`, or `process` (CPU topologies only, and their default).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def image_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say where images come from."""
    options = (
        click.option("--base", envvar="BASE", hidden=True, help="Build on another base."),
        click.option(
            "--registry",
            envvar="REGISTRY",
            help="Pull images from there, as HOST/PATH, instead of building them.",
        ),
    )
    for option in options:
        command = option(command)
    return command
