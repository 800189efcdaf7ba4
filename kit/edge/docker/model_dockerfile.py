"""Fills in the template `docker/model.Dockerfile` for one model.

Sets the defaults of the build arguments that describe the model, and splits the COPY of its files
into layers. Pure: text in, text out.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath

from kit.errors import SpecError
from kit.plan.models import WEIGHTS_SUFFIX, FileList, HubFile, HubModel

COPY = "COPY --link --from=model /models /models\n"


def dockerfile(template: str, model: HubModel, listed: FileList) -> str:
    """Return the Dockerfile that builds a model's image: a layer for each of its weight files."""
    facts = {
        "MODEL": model.id,
        "REPOSITORY": model.repository,
        "REVISION": model.revision,
        "LICENCE": model.licence,
        "LISTED_BY": listed.listed_by.value,
    }
    text = template
    for name, value in facts.items():
        text = _replaced(text, f"ARG {name}\n", f'ARG {name}="{value}"\n')
    return _replaced(text, COPY, "".join(_copies(model.id, listed.files)))


def _copies(model: str, files: Sequence[HubFile]) -> Iterator[str]:
    """Yield a COPY for the small files of each folder, then one for each weight file."""
    weights = [file for file in files if file.name.endswith(WEIGHTS_SUFFIX)]
    others = sorted(set(files) - set(weights), key=_place)
    for _, group in groupby(others, key=lambda file: _place(file)[0]):
        yield _copy(model, list(group))
    for file in weights:
        yield _copy(model, [file])


def _copy(model: str, files: Iterable[HubFile]) -> str:
    """Return a COPY of files to the folder that they have in the model's stage."""
    paths = [PurePosixPath("/models", model, file.name) for file in files]
    lines = "".join(f"     {path} \\\n" for path in paths)
    return f"COPY --link --from=model \\\n{lines}     {paths[0].parent}/\n"


def _place(file: HubFile) -> tuple[str, str]:
    path = PurePosixPath(file.name)
    return str(path.parent), path.name


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise SpecError(
            f"docker/model.Dockerfile has no line {old.strip()!r}",
            "it was edited, or is of another version of the kit",
            "git diff -- docker/model.Dockerfile",
        )
    return text.replace(old, new)
