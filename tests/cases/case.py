"""A row of the tables of tampering: what is changed, how, and the codes that must name it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from kit.check.finding import Outcome
from tests.cases.runs import CPU, Run
from tests.edits.files import Files
from tests.factory import Draft, draft

Target = TypeVar("Target", Draft, Files)
Arguments = ParamSpec("Arguments")

EditDraft = Callable[[Draft], None]
EditFiles = Callable[[Files], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One kind of tampering with a good bundle of each of `runs`, each named by all `codes`.

    Their outcome is a failure, or a warning where the form of the evidence was not seen yet.
    """

    what: str
    codes: tuple[str, ...]
    runs: tuple[Run, ...]
    outcome: Outcome = Outcome.FAIL
    before_sealing: tuple[EditDraft, ...] = ()
    after_sealing: tuple[EditFiles, ...] = ()

    def files(self, run: Run) -> Files:
        """Return the files of the tampered bundle."""
        made = draft(run.settings)
        for change in self.before_sealing:
            change(made)
        files = made.seal()
        for damage in self.after_sealing:
            damage(files)
        return files


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One table of the page: the cases that tamper with the same part of a bundle."""

    title: str
    cases: tuple[Case, ...]


def group(title: str, *cases: Case) -> Group:
    """Return a table. The formatter leaves it alone (`fmt: skip`), so that rows stay short."""
    return Group(title=title, cases=cases)


def forged(what: str, codes: str, *edits: EditDraft, runs: tuple[Run, ...] = (CPU,)) -> Case:
    """Return a case that edits a draft and seals it: all hashes fit. Spaces part the codes."""
    return Case(what=what, codes=tuple(codes.split()), runs=runs, before_sealing=edits)


def suspected(what: str, codes: str, *edits: EditDraft, runs: tuple[Run, ...]) -> Case:
    """Return a case that edits a draft and leaves a bundle that is valid and reportable."""
    named = tuple(codes.split())
    return Case(what=what, codes=named, runs=runs, outcome=Outcome.WARN, before_sealing=edits)


def damaged(what: str, codes: str, *edits: EditFiles) -> Case:
    """Return a case that edits sealed files. Spaces part the codes."""
    return Case(what=what, codes=tuple(codes.split()), runs=(CPU,), after_sealing=edits)


def edit(
    function: Callable[Concatenate[Target, Arguments], None],
    *arguments: Arguments.args,
    **fields: Arguments.kwargs,
) -> Callable[[Target], None]:
    """Return an edit as a value: the function with all its arguments but the first."""
    return lambda target: function(target, *arguments, **fields)
