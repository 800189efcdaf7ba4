"""What modules may import from outside: the core is pure, and heavy libraries stay in their homes.

Which folders of `kit/` may import which is import-linter's to check (pyproject.toml).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EFFECTFUL = (
    "kit.bootstrap",
    "kit.ownership",
    "kit.edge",
    "kit.cli",
    "kit.__main__",
    "kit.tools",
)
"""All else is pure: bytes and values in, bytes and values out."""

PURE_STANDARD_LIBRARY = frozenset(
    """
    __future__ abc ast base64 bisect collections contextlib csv dataclasses datetime decimal enum
    fractions functools gzip hashlib heapq html io itertools json math operator re statistics
    string struct textwrap tomllib types typing unicodedata zlib
    """.split()  # noqa: SIM905
)
"""Without files, processes, sockets, clocks, randomness, or the environment."""

EFFECTFUL_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})

HOMES = {
    "backports": ("kit.edge.files.archive", "kit.edge.files.inflate"),
    "click": ("kit.cli",),
    "docker": ("kit.edge.docker.daemon",),
    "jinja2": ("kit.report.jinja",),
    "jsonschema": ("kit.check.decoding",),
    "markupsafe": ("kit.report.jinja", "kit.report.pictures"),
    "matplotlib": ("kit.report.charts", "kit.report.energy_charts", "kit.report.pictures"),
    "msgspec": ("kit",),
    "numpy": ("kit.twins.weights",),
    "pandas": ("kit.report.frames",),
    "pynvml": ("kit.edge.host.nvml",),
    "referencing": ("kit.check.decoding",),
    "requests": ("kit.edge.connection",),
    "rich": ("kit.cli", "kit.report.terminal"),
    "tokenizers": ("kit.tools.train_tokenizer",),
    "urllib3": (
        "kit.edge.connection",
        "kit.edge.stamps",
        "kit.edge.server_probe",
        "kit.edge.docker.daemon",
    ),
    "yaml": ("kit.plan.topology", "kit.tools.topologies_page"),
}
"""Where a package from PyPI may be imported; one that is not here may be imported nowhere."""

LAZY = (
    *("jinja2", "jsonschema", "markupsafe", "matplotlib", "numpy"),
    *("pandas", "pynvml", "requests", "rich", "yaml"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A module and the names of the modules that it imports, anywhere in its code."""

    name: str
    tree: ast.Module
    imports: frozenset[str]


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    tree = ast.parse(path.read_bytes())
    return Module(name=name, tree=tree, imports=frozenset(imported(tree)))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            source = node.module or ""
            yield from (target(source, alias.name) for alias in node.names)


def target(source: str, name: str) -> str:
    """Tell `from kit import plan`, a module, from `from kit.plan import Plan`, a name in one."""
    if source == "pathlib" and name.startswith("Pure"):
        return f"pure{source}"  # names of files, without files
    path = ROOT.joinpath(*source.split("."), name)
    is_module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    return f"{source}.{name}" if is_module else source


MODULES = {module.name: module for module in map(read, sorted((ROOT / "kit").rglob("*.py")))}


def inside(name: str, *places: str) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


PURE = [name for name in MODULES if not inside(name, *EFFECTFUL)]
BARE = [
    "kit",
    *(name for name in MODULES if inside(name, "kit.bootstrap", "kit.errors", "kit.ownership")),
]


def packages(module: Module) -> set[str]:
    """Return the top-level packages that a module imports and that are not ours."""
    return {name.split(".")[0] for name in module.imports} - {"kit", "purepathlib"}


@pytest.fixture(params=sorted(MODULES))
def module(request: pytest.FixtureRequest) -> Module:
    return MODULES[request.param]


def test_packages_stay_in_their_homes(module: Module) -> None:
    for package in packages(module) - sys.stdlib_module_names:
        assert inside(module.name, *HOMES.get(package, ())), f"{module.name} imports {package}"


def test_every_home_is_in_use() -> None:
    for package, homes in HOMES.items():
        users = [name for name, module in MODULES.items() if package in packages(module)]
        assert users, package
        assert all(inside(name, *homes) for name in users)


@pytest.mark.parametrize("name", PURE)
def test_the_core_has_no_effects(name: str) -> None:
    module = MODULES[name]
    standard = packages(module) & sys.stdlib_module_names
    assert standard <= PURE_STANDARD_LIBRARY
    calls = {
        node.func.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & EFFECTFUL_CALLS


@pytest.mark.parametrize("name", BARE)
def test_the_set_up_runs_on_a_bare_python(name: str) -> None:
    """It makes the environments, so that it has none: only modules that need none either."""
    module = MODULES[name]
    assert packages(module) <= sys.stdlib_module_names
    ours = {name for name in module.imports if inside(name, "kit")}
    assert all(name in BARE for name in ours)


def test_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, kit.cli; print(*[name for name in {LAZY} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_the_heavy_ones_would_be_seen() -> None:
    code = (
        "import sys, kit.edge.http_client; print('requests' in sys.modules, 'yaml' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["True", "False"]
