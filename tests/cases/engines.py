"""Ways to tamper with what is known of the engine itself, each with the code that must name it."""

from msgspec.structs import replace

from kit.bundle import Runtime
from tests.factory import Draft


def containers_called_a_process(made: Draft) -> None:
    """Nobody then asks for the host's facts, nor for the image's base."""
    made.host_facts = None
    identity = replace(made.document.engine, build="cpu", lock_sha256="00" * 32, cores=(0,))
    made.document = replace(made.document, runtime=Runtime.PROCESS, engine=identity)
