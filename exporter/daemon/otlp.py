"""Sends the metrics to an OpenTelemetry collector every ``otlp.every`` seconds."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exporter.config import ConfigError
from exporter.config.models import Otlp
from exporter.config.secret_reader import SecretReader
from exporter.lib import http
from exporter.lib.files import MIB
from exporter.lib.redact import internal_error
from exporter.lib.threads import IsolatedThread
from exporter.metrics import otlp

log = logging.getLogger(__name__)

#: How long making one request may take, with the import of the package, and how long sending it, in seconds.
LIMIT, TIMEOUT = 60.0, 10.0
#: The longest pause that a collector may ask for, in seconds.
MAX_RETRY_AFTER = 3600.0


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
        #: Seconds until the next request: at least ``every``, and as long as the collector asks for.
        self.pause = config.every

    async def run(self) -> None:
        while True:
            await self.send()
            await asyncio.sleep(self.pause)

    async def send(self) -> bool:
        """Send the metrics once; returns whether they were accepted. The next request has all that this one has."""
        self.pause = self._every
        try:
            why = await self._send()
        except (ConfigError, http.RequestError) as error:
            why = str(error)
        except TimeoutError:
            why = f"making the request takes longer than {LIMIT:g} s"
        except Exception as error:
            why = internal_error(error, "sending metrics")
        accepted = why is None
        if accepted != self._was_accepted:
            self._was_accepted = accepted
            if accepted:
                log.info("the OpenTelemetry collector accepts the metrics again")
            else:
                log.warning("the OpenTelemetry collector did not accept the metrics: %s", why)
        return accepted

    async def _send(self) -> str | None:
        """Why the metrics were not accepted; None if they were."""
        url, token = await self._secrets.read("url"), await self._secrets.read("token")
        text, now = self._exposition().decode(), self._now()
        work = partial(otlp.request, text, self._started_at, now, self._instance)
        content = await self._thread.run(work, LIMIT)
        headers = {**otlp.HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}
        authority = os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")
        async with http.Client(ca_file=Path(authority) if authority else None, use_proxies=True) as client:
            answer = await client.send(
                "POST", url or "", timeout=TIMEOUT, content=content, headers=headers, max_body=MIB
            )
        if not answer.is_success:
            asked = http.retry_after(answer.headers.get("retry-after"), now, MAX_RETRY_AFTER)
            self.pause = max(self._every, asked or 0.0)
            return http.status_text(answer.status)
        try:
            return otlp.rejection(answer.body)
        except ValueError:
            return "the answer is not an OpenTelemetry collector's; check the url"
