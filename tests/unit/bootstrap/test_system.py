"""What the system lacks: installed, or named in the error."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from kit.bootstrap import system
from kit.bootstrap.errors import SetupError
from kit.bootstrap.system import Need
from kit.bootstrap.tool import ToolError


class FakeApt:
    """A `RunTool` that installs some packages, optionally only after `update`."""

    def __init__(self, *known: str, needs_update: bool = False) -> None:
        self.known = known
        self.needs_update = needs_update
        self.installed: set[str] = set()
        self.commands: list[str] = []

    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        words = [str(word) for word in command]
        self.commands.append(" ".join(words))
        if "update" in words:
            self.needs_update = False
            return ""
        names = words[words.index("--no-install-recommends") + 1 :]
        if self.needs_update or not set(names) <= set(self.known):
            raise ToolError("exit code 100\nE: Unable to locate package")
        self.installed |= set(names)
        return ""


def need(thing: str, package: str | None, present: Callable[[], bool] = lambda: False) -> Need:
    return Need(thing=thing, why=f"{thing} is used", package=package, present=present)


def brought_by(apt: FakeApt, thing: str, package: str) -> Need:
    return need(thing, package, present=lambda: package in apt.installed)


def test_nothing_is_run_when_nothing_is_missing() -> None:
    apt = FakeApt()

    system.provide([need("nm", "binutils", present=lambda: True)], apt, ())

    assert apt.commands == []


def test_each_package_is_installed_once_as_root_without_an_update() -> None:
    apt = FakeApt("binutils", "g++")
    needs = [
        brought_by(apt, thing, package)
        for thing, package in (("nm", "binutils"), ("readelf", "binutils"), ("g++", "g++"))
    ]

    system.provide(needs, apt, ())

    (install,) = apt.commands
    assert install.startswith("env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes ")
    assert install.endswith(" binutils g++")


def test_sudo_comes_first_and_the_lists_are_fetched_if_the_first_try_fails() -> None:
    apt = FakeApt("g++", needs_update=True)

    system.provide([brought_by(apt, "g++", "g++")], apt, ("sudo", "-n"))

    assert [line.split()[:3] for line in apt.commands] == [
        ["sudo", "-n", "env"],
        ["sudo", "-n", "env"],
        ["sudo", "-n", "env"],
    ]
    assert [line.split()[6] for line in apt.commands] == ["install", "update", "install"]


def test_without_permission_the_error_names_thing_reason_and_command() -> None:
    with pytest.raises(SetupError) as caught:
        system.provide([need("g++", "g++"), need("libnuma.so.1", "libnuma1")], FakeApt(), None)

    error = str(caught.value)
    assert "this machine lacks g++, libnuma.so.1" in error
    assert "g++ is used" in error
    assert "sudo apt-get update && sudo apt-get install g++ libnuma1" in error


def test_a_failure_of_apt_is_shown_with_its_words() -> None:
    with pytest.raises(SetupError) as caught:
        system.provide([need("g++", "g++")], FakeApt(), ())

    assert "Unable to locate package" in str(caught.value)


def test_a_package_that_does_not_bring_the_thing_is_an_error() -> None:
    with pytest.raises(SetupError, match="lacks g"):
        system.provide([need("g++", "g++")], FakeApt("g++"), ())


def test_no_package_can_mend_a_python_that_is_not_the_systems() -> None:
    apt = FakeApt("g++")

    with pytest.raises(SetupError) as caught:
        system.provide([need("Python.h", None), need("g++", "g++")], apt, ())

    assert apt.commands == []
    assert "apt-get install g++" in caught.value.next_step
    assert "reinstall the Python" in caught.value.next_step


def test_a_library_that_exists_loads_and_another_does_not() -> None:
    assert system.loads("libc.so.6")
    assert not system.loads("libno-such-library.so.7")


def test_this_machine_has_what_the_tests_run_on() -> None:
    assert system.missing(system.engine_needs()) == ()
