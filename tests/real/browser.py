"""A real Chromium that runs a test's steps, one after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .conftest import need

LIBRARIES = "page-1"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Browser:
    """Chromium in a ``with`` block. ``said`` has the errors and warnings of its console."""

    def __init__(self, folder: Path) -> None:
        node, chromium = need("node"), need("chromium")
        folder.mkdir()
        (folder / "node_modules").symlink_to(need(LIBRARIES))
        shutil.copy(Path(__file__).parent / "browser.mjs", folder)
        self.said: list[str] = []
        self._node = subprocess.Popen(
            [node, "browser.mjs", chromium],
            cwd=folder,
            env={"HOME": str(folder), "PATH": f"{node.parent}:/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.close()
        try:
            self._node.wait(20)
        finally:
            self._node.kill()
            self._node.wait()
            self._node.stdout.close()

    def _send(self, **order: Any) -> Any:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps(order) + "\n")
        self._node.stdin.flush()
        answer = json.loads(self._node.stdout.readline())
        self.said += answer["said"]
        assert "error" not in answer, f"{order.get('step')}: {answer['error']}"
        return answer.get("value")

    def open(self, viewport: dict[str, int]) -> None:
        """Open a new window, without cookies. A narrow one is a phone's, with a finger instead of a mouse."""
        self._send(viewport=viewport)

    def do(self, step: str, arg: Any = None) -> Any:
        """Run the body of an asynchronous JavaScript function of ``page`` (Playwright's) and ``arg``."""
        return self._send(step=step, arg=arg)

    def text(self, selector: str) -> str:
        """The text that has been drawn: a row that comes into view has none before the next frame."""
        drawn = """const one = page.locator(arg).first();
        await one.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
        return await one.innerText();"""
        return " ".join(self.do(drawn, selector).split())

    def wait_for(self, condition: str, arg: Any = None) -> None:
        """Wait until an expression of the page is true."""
        self.do(f"await page.waitForFunction((arg) => {condition}, arg)", arg)

    def faults(self) -> list[str]:
        """What axe finds in light and in dark colours, and whether the page is wider than its window."""
        found: list[str] = self.do(
            """await page.evaluate(axe + ';0');
            const found = [];
            for (const colorScheme of ['dark', 'light']) {
                await page.emulateMedia({colorScheme});
                const {violations} = await page.evaluate(() => axe.run());
                const place = (one) => one.nodes.map((node) => node.html).join(' ');
                found.push(...violations.map((one) => `${colorScheme} ${one.id}: ${place(one)}`));
            }
            return found;"""
        )
        # A phone's window grows with a page that is too wide: ``innerWidth`` would be that of the page.
        wider = self.do(
            """const needed = await page.evaluate(() => document.documentElement.scrollWidth);
            return needed - page.viewportSize().width;"""
        )
        return [*found, *[f"{wider} pixels wider than the window"] * (wider > 0)]

    def picture(self, path: Path) -> None:
        self.do("await page.screenshot({path: arg, fullPage: true})", str(path))
