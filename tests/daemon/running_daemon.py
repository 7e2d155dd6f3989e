"""A running daemon over fake sources."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakes import Fakes, config, token

from exporter.config import Config, ConfigError
from exporter.daemon.scheduler import Daemon
from exporter.state.credentials_db import CredentialDatabase

DAY = 86400.0


class Setting:
    """A running daemon over fake sources; its configuration can be exchanged."""

    def __init__(self, made: Config, ledger: CredentialDatabase | None = None) -> None:
        self.config: Config | ConfigError = made
        self.fakes = Fakes()
        self.ledger = ledger or CredentialDatabase(None)
        self.daemon = Daemon(made, self.ledger, self.reread, time.time, self.fakes)
        for source in self.fakes.sources.values():
            source.profiles = (token(time.time() + 30 * DAY),)

    def reread(self) -> Config:
        if isinstance(self.config, ConfigError):
            raise self.config
        return self.config

    def metrics(self) -> str:
        return self.daemon.exposition("", "")[0].decode()


@asynccontextmanager
async def running(*names: str, **rest: object) -> AsyncIterator[Setting]:
    setting = Setting(config(*names, **rest))
    await setting.daemon.start()
    try:
        yield setting
    finally:
        await setting.daemon.stop()
