"""Thousands of simulated gateways in one process, each on its own loopback port, whose tokens a test replaces."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
#: The token of every gateway.
TOKEN = "a-gateway-token-for-the-kill-run-0123456789"
#: The one profile of each.
PROFILE = "anthropic:default"
#: Descriptors for two thousand gateways and the connections to them.
DESCRIPTORS = 16384


class Gateways:
    """Simulated gateways in one process, each on its own port with one token, which ``paste`` replaces."""

    def __init__(self, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(count)],
            env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.ports: list[int] = json.loads(self._process.stdout.readline())

    def paste(self, gateway: int, expires_in: float) -> None:
        """A new token at this gateway. It is there when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([gateway, expires_in]).encode() + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"pasted\n"

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def _gateways(count: int) -> None:
    import uvicorn
    from stand_ins.server import gateway_app

    from exporter.simulator.scenarios import scenario_world

    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    sockets, apps, worlds = [], {}, []
    for _ in range(count):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        sockets.append(bound)
        worlds.append(scenario_world("healthy", time.time()))
        apps[bound.getsockname()[1]] = gateway_app(worlds[-1], TOKEN)

    async def by_port(scope: Any, receive: Any, send: Any) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    def pastes() -> None:
        for line in sys.stdin:
            gateway, expires_in = json.loads(line)
            worlds[gateway].paste_token(PROFILE, expires_in, time.time())
            print("pasted", flush=True)

    print(json.dumps(list(apps)), flush=True)
    threading.Thread(target=pastes, daemon=True).start()
    config = uvicorn.Config(by_port, lifespan="off", log_level="error", access_log=False, timeout_keep_alive=3600)
    asyncio.run(uvicorn.Server(config).serve(sockets))


if __name__ == "__main__":
    _gateways(int(sys.argv[1]))
