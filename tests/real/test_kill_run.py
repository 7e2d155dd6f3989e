"""Exporters, Prometheus shards and Alertmanagers are killed at random: no alert is lost, and every one resolves.

In `.ci/run`, each kind of program is killed once, with a hundred gateways. ``OAE_KILL_RUN=all`` (`.ci/full`) kills for
ten minutes, with two thousand. ``OAE_KILL_RUN=harsh`` kills more often than the fleet's recipe allows for: no alert
may be lost, but ends are. ``OAE_KILL_SEED`` repeats a run; its number is printed with the figures.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from . import kill_run
from .kill_run_forms import HARSH, LONG, SHORT

pytestmark = pytest.mark.real


def test_kills_lose_no_alert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    form = {"all": LONG, "harsh": HARSH}.get(os.environ.get("OAE_KILL_RUN", ""), SHORT)
    seed = int(os.environ.get("OAE_KILL_SEED") or random.SystemRandom().randrange(10**6))
    result = kill_run.run(tmp_path, form, seed)
    with capsys.disabled():
        print(f"\n{result}")
    assert all(result.kills.values()), result
    assert result.lost == [], result
    assert list(result.unresolved) == [] or form is HARSH, result
    assert (result.false_ends, result.twins) == (0, 0), result
    assert (list(result.strangers), result.unowned) == ([], 0), result
