"""Reads secrets for callers on the event loop: a file in a thread with a time limit, everything else at once."""

from __future__ import annotations

from functools import partial

from exporter.config.values import ConfigError, WithSecrets
from exporter.lib.threads import IsolatedThread

#: How long reading a secret's file may take, in seconds.
PATIENCE = 5.0


class SecretReader:
    """The secrets of one part of the configuration."""

    def __init__(self, config: WithSecrets) -> None:
        self._config = config
        self._thread = IsolatedThread("secrets")

    async def read(self, name: str) -> str | None:
        """Like ``WithSecrets.read_secret``. Raises ConfigError also if the file system does not answer in time."""
        file = getattr(self._config, f"{name}_file")
        if not file:
            return self._config.read_secret(name)
        try:
            return await self._thread.run(partial(self._config.read_secret, name), PATIENCE)
        except TimeoutError:
            why = f"{file}: its file system did not answer within {PATIENCE:g} s"
            raise ConfigError(f"{name}_file", [why]) from None
