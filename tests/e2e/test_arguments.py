"""Every engine's command, by the argument parser of vLLM 0.17.0 itself: its CPU build has it too.

A flag that this release does not know, or a tool parser that it has not, fails here, without a GPU.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence

import pytest

from kit.edge.files import checkout
from kit.plan.topology import fill_variables

pytestmark = pytest.mark.e2e

PARSE = """
import json, sys
from vllm.entrypoints.openai.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = make_arg_parser(FlexibleArgumentParser())
told = {}
for name, words in json.load(sys.stdin).items():
    try:
        given = parser.parse_args(words)
        validate_parsed_serve_args(given)
        if given.tool_call_parser:
            ToolParserManager.get_tool_parser(given.tool_call_parser)
        told[name] = ""
    except (SystemExit, Exception) as error:
        told[name] = f"{type(error).__name__}: {error}"
json.dump(told, sys.stdout)
"""


def refused(commands: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what the parser has against each command that it refuses."""
    done = subprocess.run(
        [checkout.ENGINE / "bin" / "python", "-c", PARSE],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return {name: why for name, why in told.items() if why}


def test_this_release_takes_every_command() -> None:
    commands = {}
    for path in checkout.compose_files():
        for model, service in checkout.topology(path.stem).services.items():
            program, verb, *words = fill_variables(service, {}).command
            assert (program, verb) == ("vllm", "serve")
            commands[f"{path.stem} {model}"] = words
    assert len(commands) == 16
    assert refused(commands) == {}


def test_what_this_release_does_not_know_would_be_seen() -> None:
    commands = {
        "removed": ["/models/moe", "--disable-log-requests"],
        "misspelt": ["/models/moe", "--tensor-paralel-size=2"],
        "no such tool parser": ["/models/moe", "--enable-auto-tool-choice", "--tool-call-parser=x"],
    }
    assert set(refused(commands)) == set(commands)
