"""Sends the metrics to an OpenTelemetry collector every ``otlp.every`` seconds, from a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from functools import partial

from exporter.config import ConfigError
from exporter.config.models import Otlp
from exporter.config.secret_reader import SecretReader
from exporter.lib.redact import internal_error
from exporter.lib.threads import IsolatedThread
from exporter.metrics import otlp

log = logging.getLogger(__name__)

#: How long one exposition may take, with the import of the packages, in seconds.
LIMIT = 60.0


class OtlpSender:
    """Sends what a scrape would get. To be used from the daemon's event loop."""

    def __init__(
        self, config: Otlp, instance: str, exposition: Callable[[], bytes], now: Callable[[], float] = time.time
    ) -> None:
        """``instance`` names this exporter. ``exposition`` is the body of ``/metrics``; it raises if there is none."""
        self._secrets = SecretReader(config)
        self._every = config.every
        self._instance = instance or socket.gethostname()
        self._exposition = exposition
        self._now = now
        self._started_at = now()
        self._thread = IsolatedThread("otlp")
        self._was_accepted = True

    async def run(self) -> None:
        while True:
            await self.send()
            await asyncio.sleep(self._every)

    async def send(self) -> bool:
        """Send the metrics once; returns whether they were accepted."""
        why = "the lines before say why"
        try:
            url, token = await self._secrets.read("url"), await self._secrets.read("token")
            text, now = self._exposition().decode(), self._now()
            work = partial(otlp.send, text, url or "", token, self._started_at, now, self._instance)
            accepted = await self._thread.run(work, LIMIT)
        except ConfigError as error:
            accepted, why = False, str(error)
        except TimeoutError:
            accepted, why = False, f"no answer within {LIMIT:g} s"
        except Exception as error:
            accepted, why = False, internal_error(error, "sending metrics")
        if accepted != self._was_accepted:
            self._was_accepted = accepted
            if accepted:
                log.info("the OpenTelemetry collector accepts the metrics again")
            else:
                log.warning("the OpenTelemetry collector was not sent the metrics: %s", why)
        return accepted
