"""The options of a plan's command line."""

import pytest

from kit.check.topology import options


@pytest.mark.parametrize(
    ("command", "planned"),
    [
        (("vllm", "serve", "/m", "--a-b=1"), {"a_b": "1"}),
        (("--a", "--b", "x", "--c=y=z"), {"a": None, "b": "x", "c": "y=z"}),
        (("--no-enable-prefix-caching",), {"enable_prefix_caching": "False"}),
        (("--host=::", "--port", "1", "--model=x"), {}),
        ((), {}),
    ],
)
def test_the_options_of_a_command(command: tuple[str, ...], planned: dict[str, str | None]) -> None:
    assert options.planned_options(command) == planned
