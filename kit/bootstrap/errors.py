"""The set-up's error, with exit code 4: the machine lacks something."""

from kit.errors import MachineError


class SetupError(MachineError):
    """The set-up cannot continue."""

    def __init__(self, *, failed: str, cause: str, next_step: str, output: str = "") -> None:
        super().__init__(failed, cause, next_step)
        self.output = output
        """The last lines of the tool that failed, if one did."""

    def __str__(self) -> str:
        lines = [f"error: {self.what}", f"  cause: {self.why}", f"  next: {self.next_step}"]
        if self.output:
            lines += ["  last lines of output:", *(f"    {it}" for it in self.output.splitlines())]
        return "\n".join(lines)
