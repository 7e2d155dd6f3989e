"""What the real-parts tests stand on: the parts, or a skip that says how to get them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from . import parts


def need(part: str) -> Path:
    """The executable of a real part: ``node``, ``openclaw-<release>``, ``prometheus``, ``promtool``.

    Where it is missing: a failure in CI (the environment has CI=true), elsewhere a skip.
    """
    found = parts.find(part)
    if found is not None:
        return found
    message = f"the real part {part} is missing: tests/real/install-parts.sh installs it"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(message)
    pytest.skip(message)


MakeHome = Callable[[str], parts.OpenClawHome]
Serve = Callable[..., parts.Exporter]


@pytest.fixture
def openclaw(tmp_path: Path) -> MakeHome:
    """Makes a private home of a release, with its default model set."""

    def make(release: str) -> parts.OpenClawHome:
        need("node")
        need(f"openclaw-{release}")
        world = parts.OpenClawHome(release, tmp_path / f"openclaw-{release}")
        world.set_model()
        return world

    return make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``serve`` beside a home; it must end well when the test does, unless the test ended it."""
    with ExitStack() as stack:

        def start(world: parts.OpenClawHome, **config: Any) -> parts.Exporter:
            return stack.enter_context(parts.running(parts.Exporter(world, tmp_path / "exporter", **config)))

        yield start
