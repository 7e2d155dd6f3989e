"""A program in the place of ``openclaw`` that prints what a test wants, and the source that runs it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.config import OpenClawTarget
from exporter.sources import InMemorySourceCache, SourceContext, build
from exporter.sources.openclaw.source import OpenClawSource

SECRET = "PLANTED-SECRET-0123456789abcdef"
CAPTURE = json.loads((Path(__file__).parent.parent / "captures/openclaw-2026.9.6/token_expiring_12h.json").read_text())

#: Prints what the files beside it hold, and logs how it was called.
STAND_IN = """#!{python} -S
import json, os, sys
here = {here!r}
log = open(here + "/log", "a"); log.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n"); log.close()
name = {{"models": "status", "agents": "agents", "--version": "version"}}[sys.argv[1]]
for stream, tail in ((sys.stdout.buffer, ".out"), (sys.stderr.buffer, ".err")):
    if os.path.exists(here + "/" + name + tail):
        stream.write(open(here + "/" + name + tail, "rb").read()); stream.flush()
code = here + "/" + name + ".code"
sys.exit(int(open(code).read()) if os.path.exists(code) else 0)
"""


@dataclass
class StandIn:
    folder: Path
    clock: list[float]
    cache: InMemorySourceCache

    @property
    def path(self) -> str:
        return str(self.folder / "openclaw")

    def is_now(self, body: str, mode: int = 0o755) -> None:
        Path(self.path).write_text(body)
        Path(self.path).chmod(mode)

    def says(self, what: str, stdout: str | bytes = b"", stderr: str | bytes = b"", code: int = 0) -> None:
        for tail, text in ((".out", stdout), (".err", stderr), (".code", str(code))):
            (self.folder / (what + tail)).write_bytes(text.encode() if isinstance(text, str) else text)

    @property
    def calls(self) -> list[list[str]]:
        return [call[0] for call in self._log]

    @property
    def environ(self) -> dict[str, str]:
        seen: dict[str, str] = self._log[-1][1]
        return seen

    @property
    def _log(self) -> list[Any]:
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def source(self, environ: dict[str, str] | None = None, **config: Any) -> OpenClawSource:
        context = SourceContext(
            keyed_hash=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            cache=self.cache,
            now=lambda: self.clock[0],
            environ=environ if environ is not None else {"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        target = OpenClawTarget(source="openclaw", **{"name": "t", "command": [self.path], **config})
        source = build(target, context)
        assert isinstance(source, OpenClawSource)
        return source


def stand_in_at(folder: Path) -> StandIn:
    """A stand-in that answers as 2026.9.6 did with one token."""
    clock = [1_800_000_000.0]
    openclaw = StandIn(folder, clock, InMemorySourceCache(lambda: clock[0]))
    openclaw.is_now(STAND_IN.format(python=sys.executable, here=str(folder)))
    openclaw.says("status", CAPTURE["stdout"], CAPTURE["stderr"], CAPTURE["exit_code"])
    openclaw.says("agents", '[{"id": "work"}, {"id": "main", "isDefault": true}]')
    openclaw.says("version", "OpenClaw 2026.9.6 (eb377ac)\n")
    return openclaw
