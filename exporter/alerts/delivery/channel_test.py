"""``notify test``: one real test notification per channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from exporter.alerts.channels import DeliveryError, Links, no_links
from exporter.alerts.delivery.senders import Senders, build_senders
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.lifecycle import test_message
from exporter.alerts.values import QueuedMessage
from exporter.config import Config
from exporter.lib.redact import internal_error

#: For one channel, seconds.
TIMEOUT = 120.0


async def send_tests(
    config: Config, names: Iterable[str], now: float, links: Links = no_links
) -> list[tuple[str, str | None]]:
    """Send a test notification to each named channel: its name, and None or why it failed.

    Raises ConfigError for a channel that cannot be used.
    """
    senders = build_senders(config, links)
    return list(await asyncio.gather(*(_test(senders, name, now) for name in names)))


async def _test(senders: Senders, name: str, now: float) -> tuple[str, str | None]:
    message = test_message(name, now)
    try:
        async with asyncio.timeout(TIMEOUT):
            if name in senders.channels:
                await senders.channels[name].send(QueuedMessage(next_ulid(now, None), message))
            else:
                results = await senders.alertmanagers[name].test(message.alerts[0], now)
                return name, next((str(error) for error in results if error is not None), None)
    except DeliveryError as error:
        return name, str(error)
    except TimeoutError:
        return name, f"timeout: it took longer than {TIMEOUT:g} s"
    except Exception as error:
        return name, internal_error(error, "sending the test")
    return name, None
