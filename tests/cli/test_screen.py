"""Colours, widths and the progress line: on a terminal only."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run

from exporter.cli import screen
from exporter.present import Style


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "stream", "environment", "expected"),
    [
        ("auto", Terminal(), {}, True),
        ("auto", Terminal(), {"NO_COLOR": "1"}, False),
        ("auto", Terminal(), {"NO_COLOR": ""}, True),
        ("auto", Terminal(), {"TERM": "dumb"}, False),
        ("auto", io.StringIO(), {}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Terminal(), {}, False),
    ],
)
def test_colours_are_for_terminals_unless_asked_for(
    color: screen.Colour,
    stream: io.StringIO,
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert screen.has_colours(color, stream) is expected


def test_a_pipe_gets_no_colours_unless_always(configure: Callable[..., Path]) -> None:
    config = configure("expired")
    assert "\x1b" not in run(config, "check")[1]
    assert "\x1b" not in run(config, "check", "--json", "--color", "always")[1]
    assert "\x1b[1;31m" in run(config, "check", "--color", "always")[1]
    assert "\x1b[1;31m" in run(config, "explain", "--color", "always")[1]


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch, configure: Callable[..., Path]) -> None:
    from exporter.config import load

    monkeypatch.setenv("COLUMNS", "47")
    config = load(configure("healthy"))
    assert screen.style_of(config, "never") == Style(zone=config.zone())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert screen.style_of(config, "never", everything=True) == Style(width=47, zone=config.zone(), everything=True)


async def test_what_takes_long_is_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = asyncio.Event()

    class Watched(Terminal):
        def flush(self) -> None:
            shown.set()

    stream = Watched()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(screen, "PROGRESS_AFTER", 0)
    async with screen.progress("Checking home"):
        await shown.wait()
        assert stream.getvalue().startswith("\rChecking home … 0 s")
    assert stream.getvalue().endswith("\r" + " " * len("Checking home … 0 s") + "\r")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
async def test_what_is_quick_or_no_terminal_shows_nothing(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    if not stream.isatty():
        monkeypatch.setattr(screen, "PROGRESS_AFTER", 0)
    async with screen.progress("Checking home"):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert stream.getvalue() == ""
