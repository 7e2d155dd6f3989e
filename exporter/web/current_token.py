"""The token of the web side as of the present request. Its file is read in a thread, so that no request waits on it."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from exporter.config import ConfigError, Web
from exporter.config.secret_reader import SecretReader

#: Paths that do without the token, unless the request carries one: a file system that hangs must not delay a scrape.
PUBLIC = frozenset({"/metrics", "/probe", "/sd", "/-/healthy", "/-/ready"})


class CurrentToken:
    """Read again for each request that may need it, so that a rotated file takes effect."""

    def __init__(self, web: Web) -> None:
        self._secrets = SecretReader(web)
        self._value: str | None = None
        self._problem: ConfigError | None = None

    async def refresh(self, scope: Scope) -> None:
        """Read the token for this request. Never raises: ``value`` does."""
        if scope["path"] in PUBLIC and "authorization" not in Headers(scope=scope):
            return
        try:
            self._value, self._problem = await self._secrets.read("token"), None
        except ConfigError as error:
            self._value, self._problem = None, error

    def value(self) -> str | None:
        """The token; None if there is none. Raises ConfigError if it cannot be read."""
        if self._problem is not None:
            raise ConfigError(self._problem.where, self._problem.problems)
        return self._value
