"""Commands here measure with fakes: calibrating the client would take 4 s of each run."""

import pytest

from kit.edge import calibration


@pytest.fixture(autouse=True)
def _without_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda _plan, _moment: None)
