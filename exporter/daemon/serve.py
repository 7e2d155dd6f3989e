"""The process of ``serve``: the daemon and its web server on one asyncio loop, until a signal ends it.

SIGHUP reloads the configuration and keeps the old one if the new one is bad. SIGTERM and SIGINT stop with exit code 0
and no child process left.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from exporter.config import Config
from exporter.daemon import preflight, runtime_tuning, systemd
from exporter.daemon.loop_errors import LoopErrors
from exporter.daemon.scheduler import Daemon
from exporter.daemon.turns import Turns
from exporter.lib import tasks
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import listen
from exporter.web.app import create_app
from exporter.web.certificates import certificates_of
from exporter.web.server import WebServer

log = logging.getLogger(__name__)


async def serve(config: Config, directory: Path | None, reread: Callable[[], Config], turns: Turns) -> None:
    """Serve until SIGTERM or SIGINT. ``turns`` are those of the running loop.

    If systemd has passed listening sockets, they are used instead of ``web.listen``.
    Raises ConfigError or ListenError if it cannot start.
    """
    sockets = listen.inherited()
    config = _listening_on(sockets, config)
    await asyncio.to_thread(preflight.require_usable, config)
    if directory is not None and (problem := await asyncio.to_thread(preflight.shared_state, directory)) is not None:
        log.warning("%s", problem)
    await asyncio.to_thread(runtime_tuning.prepare)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopErrors())
    end = asyncio.Event()
    ledger = await asyncio.to_thread(CredentialDatabase, directory)
    daemon = await asyncio.to_thread(
        partial(Daemon, config, ledger, lambda: _listening_on(sockets, reread()), directory=directory, turns=turns)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    if config.web.reauth:
        daemon.enable_renewals()
    app = await asyncio.to_thread(create_app, daemon, config.web)
    web = WebServer(app, sockets or config.web.addresses, lambda: certificates_of(config.web), daemon.supervisor)
    try:
        await web.start()
        await _start(daemon, end)
        if end.is_set():
            return
        daemon.supervisor.start("garbage", runtime_tuning.collect_regularly)
        log.info("%s, listening on %s", daemon.status(), web.listens_on)
        systemd.ready(daemon.status())
        await end.wait()
    finally:
        systemd.stopping()
        daemon.announcer.close()  # the server waits for answers that have not ended
        try:
            if daemon.renewals is not None:
                await daemon.renewals.stop()
            await web.stop()
        finally:
            await daemon.stop()
            await asyncio.to_thread(ledger.close)


def _listening_on(sockets: Sequence[socket.socket], config: Config) -> Config:
    """``config`` with the hosts of ``sockets``, if there are any, as its ``web.listen``."""
    if not sockets:
        return config
    names = tuple(listen.written(sock.getsockname()[0], 0) for sock in sockets)  # this user may not open their ports
    return config.model_copy(update={"web": config.web.model_copy(update={"listen": names})})


async def _start(daemon: Daemon, end: asyncio.Event) -> None:
    """Start the daemon; return early when ``end`` is set: the first step may hang, as state on a dead mount does."""
    starting, ending = tasks.begin(daemon.start()), tasks.begin(end.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.end(ending)
    if starting.done():
        starting.result()
