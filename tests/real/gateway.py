"""A real OpenClaw gateway on loopback, with its admin RPC."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess

import httpx

from . import parts

TOKEN = "PLANTED-SECRET-gateway-0123456789abcdef"
#: Seconds from the start of a gateway to its first full answer; 20 on an idle machine.
READY_WITHIN = 180.0


class Gateway:
    """A real gateway in a private home, which a test starts and ends as often as it needs."""

    def __init__(self, world: parts.OpenClawHome) -> None:
        self.world = world
        self.port = parts.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = world.home / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        path = world.state / "openclaw.json"
        config = json.loads(path.read_text())
        config["gateway"] = {"mode": "local", "auth": {"mode": "token", "token": TOKEN}}
        config.setdefault("plugins", {}).setdefault("entries", {})["admin-http-rpc"] = {"enabled": True}
        path.write_text(json.dumps(config))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.world.command, "gateway", "run", "--port", str(self.port), "--bind", "loopback"],
                env={**self.world.env, "OPENCLAW_SKIP_CHANNELS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, number: signal.Signals) -> None:
        """Send the signal and wait until no process of the gateway is left."""
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for left in parts.processes_of(self.world.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        self._process = None

    def wait_until_ready(self) -> None:
        """Wait until it knows its credentials. Like a service manager, start it again if it ends.

        On a machine without a free core it ends itself: "state lease heartbeat did not become ready".
        """
        try:
            parts.wait_for("the gateway answers", self._is_ready, READY_WITHIN)
        except AssertionError as error:
            error.add_note(self.log.read_text()[-2000:])
            raise

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        request = {"id": "1", "method": "models.authStatus", "params": {"agentId": "main"}}
        try:
            answer = httpx.post(
                f"{self.url}/api/v1/admin/rpc",
                json=request,
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=30,
                trust_env=False,
            )
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and not answer.json().get("payload", {}).get("unavailable")
