"""Fixtures of all tests. Helper modules beside this file can be imported by their names."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from exporter.alerts.delivery.outbox import Outbox
from exporter.lib.known_secrets import KNOWN
from exporter.state.credentials_db import CredentialDatabase

sys.path.insert(0, str(Path(__file__).parent))

os.environ["TZ"] = "UTC"  # times that people see are in the host's zone

# No test depends on the speed of the machine. The usual run is the same every time, so that a failure means changed
# code; HYPOTHESIS_PROFILE=thorough searches for new failures.
settings.register_profile("usual", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


@pytest.fixture(autouse=True)
def _cycles_are_collected() -> Iterator[None]:
    """A command that a test runs in this process switches the garbage collector off."""
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _secrets_are_forgotten() -> Iterator[None]:
    """A secret of one test may be a word of another."""
    yield
    KNOWN.clear()


@pytest.fixture(autouse=True)
def _state_is_closed() -> Iterator[None]:
    """Close the state files that a test leaves open.

    Otherwise the garbage collector closes them during another test, which from Python 3.13 on fails that one.
    """
    opened: list[CredentialDatabase | Outbox] = []

    def remembering(make: Any) -> Any:
        def init(self: Any, *args: Any, **rest: Any) -> None:
            make(self, *args, **rest)
            opened.append(self)

        return init

    with pytest.MonkeyPatch.context() as patch:
        for kind in (CredentialDatabase, Outbox):
            patch.setattr(kind, "__init__", remembering(kind.__init__))
        yield
    for database in opened:
        database.close()
