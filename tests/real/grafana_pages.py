"""Checks and draws dashboards with Grafana's libraries: runs the code in ``grafana/`` with Node."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .conftest import need

GRAFANA = "grafana-13.2.2"
CODE = Path(__file__).parent / "grafana"


@dataclass(frozen=True)
class Drawn:
    """A drawn page: its ``problems``, and for each panel its text, the cells of its table, and their links."""

    problems: list[str]
    panels: dict[str, dict[str, Any]]

    def rows(self, panel: str) -> list[list[str]]:
        """Return the cells of a table as a person reads them, each on one line."""
        return [[" ".join(cell.split()) for cell in row] for row in self.panels[panel]["rows"]]

    def scrolled(self) -> set[str]:
        """Return the tables that are wider than their panel."""
        return {name for name, panel in self.panels.items() if panel["wider"]}


class Grafana:
    """Grafana's libraries in a test's folder."""

    def __init__(self, folder: Path) -> None:
        self._node = need("node")
        self._folder = shutil.copytree(CODE, folder)
        (folder / "node_modules").symlink_to(need(GRAFANA))

    def _run(self, *argv: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._node), *argv],
            cwd=self._folder,
            env={"HOME": str(self._folder), "PATH": f"{self._node.parent}:/usr/bin:/bin"},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def faults(self, dashboard: str) -> str:
        """Return the errors of Grafana's schema in a dashboard's JSON; empty if it is valid."""
        head = "import type { OurDashboard } from './schema';\nexport const dashboard: OurDashboard = "
        (self._folder / "checked.ts").write_text(f"{head}{dashboard};\n")
        options = "--noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target es2022"
        ended = self._run("node_modules/typescript/bin/tsc", *options.split(), "checked.ts")
        assert (ended.returncode == 0) == (ended.stdout == ""), ended.stdout + ended.stderr
        return ended.stdout

    def build(self) -> Path:
        """Bundle the page that draws dashboards and return its folder."""
        site = self._folder / "site"
        ended = self._run("node_modules/vite/bin/vite.js", "build", "--outDir", str(site), "--emptyOutDir")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        shutil.copytree(self._folder / "node_modules/@grafana/ui/dist/public", site / "public", dirs_exist_ok=True)
        return site

    def draw(
        self, site: Path, prometheus: str, dashboard: Path, times: tuple[float, float], images: dict[int, Path]
    ) -> dict[int, Drawn]:
        """Draw the dashboard for the period ``times`` at each width, and save each drawing as an image."""
        shutil.copy(dashboard, site / "dashboard.json")
        with _served(site) as url:
            page = f"{url}/?prom={prometheus}&from={times[0]:.0f}&to={times[1]:.0f}"
            jobs = [{"url": page, "width": width, "image": str(image)} for width, image in images.items()]
            order = {"chromium": str(need("chromium")), "jobs": jobs}
            ended = self._run("shot.mjs", input=json.dumps(order))
        assert ended.returncode == 0, ended.stderr
        return {width: Drawn(**page) for width, page in zip(images, json.loads(ended.stdout), strict=True)}


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
