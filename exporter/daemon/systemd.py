"""Notifications to systemd: ready, reloading, stopping, alive. Without systemd they do nothing.

The protocol is sd_notify(3): one datagram of ``NAME=value`` lines to the socket in ``$NOTIFY_SOCKET``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

#: How long to wait for a full socket, in seconds.
PATIENCE = 1.0


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``NAME=value`` lines in one datagram. True if systemd took them.

    False without ``$NOTIFY_SOCKET``, which is normal. If the socket does not take them that is logged and no error:
    the exporter works without supervision, too.
    """
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address[0] not in "/@":
        log.warning("systemd is not notified: $NOTIFY_SOCKET is of an unknown kind")
        return False
    if address[0] == "@":  # Linux' abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(address)
            sock.send("\n".join(line.replace("\n", " ") for line in assignments).encode())
    except OSError as error:
        log.warning("systemd is not notified of %s: %s", assignments[0], error.strerror or type(error).__name__)
        return False
    return True


def ready(status: str) -> None:
    """READY=1: started, or finished reloading. ``status`` is the line that ``systemctl status`` shows."""
    notify("READY=1", f"STATUS={status}")


def reloading() -> None:
    """RELOADING=1, until ``ready``. ``Type=notify-reload`` (systemd 253) requires the time."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reloading the configuration")


def stopping() -> None:
    """STOPPING=1: the process ends on purpose."""
    notify("STOPPING=1", "STATUS=Stopping")


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which systemd expects a sign of life; None if no watchdog watches this process.

    ``$WATCHDOG_PID`` is checked because children inherit the variables.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


async def feed(alive: Callable[[], bool], environ: Mapping[str, str] = os.environ) -> None:
    """Notify the watchdog twice per interval while ``alive`` returns true.

    Returns at once if no watchdog watches this process, else runs until cancelled. systemd restarts a daemon whose
    loop hangs, because it does not get here, and one that is not ``alive``.
    """
    interval = watchdog_interval(environ)
    if interval is None:
        return
    is_alive = True
    while True:
        was_alive, is_alive = is_alive, alive()
        if is_alive:
            notify("WATCHDOG=1", environ=environ)
        elif was_alive:
            log.error("the scheduler no longer runs: systemd's watchdog will restart the exporter")
        await asyncio.sleep(interval / 2)
