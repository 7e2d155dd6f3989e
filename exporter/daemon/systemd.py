"""What the daemon tells systemd: ready, reloading, stopping, alive. Nothing where systemd does not listen.

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

#: How long a full socket of systemd's may hold us, seconds.
PATIENCE = 1.0


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send the ``NAME=value`` lines in one datagram; whether they were handed over.

    False without ``$NOTIFY_SOCKET``, which is normal, and where the socket does not take them, which
    is logged: supervision that fails is no reason for the work to fail.
    """
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address[0] not in "/@":
        log.warning("systemd's $NOTIFY_SOCKET is of a kind that is not known here: it is told nothing")
        return False
    if address[0] == "@":  # Linux' abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(address)
            sock.send("\n".join(one.replace("\n", " ") for one in assignments).encode())
    except OSError as error:
        log.warning("systemd could not be told %s: %s", assignments[0], error.strerror or type(error).__name__)
        return False
    return True


def ready(status: str) -> None:
    """READY=1: started, or done with reloading. ``status`` is what ``systemctl status`` shows."""
    notify("READY=1", f"STATUS={status}")


def reloading() -> None:
    """RELOADING=1, until ``ready``. The time is what ``Type=notify-reload`` (systemd 253) asks for."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reading the configuration anew")


def stopping() -> None:
    """STOPPING=1: ending on purpose."""
    notify("STOPPING=1", "STATUS=Ending")


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which systemd wants to hear from this process; None where it does not watch us.

    ``$WATCHDOG_PID`` tells whom it watches: children inherit the variables.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


async def feed(alive: Callable[[], bool], environ: Mapping[str, str] = os.environ) -> None:
    """Tell the watchdog twice per interval that we live, as long as ``alive`` says so.

    Returns at once where no watchdog watches; else runs until cancelled. A loop that hangs does not
    get here, and one that runs for nothing is not ``alive``: systemd ends and restarts both.
    """
    interval = watchdog_interval(environ)
    if interval is None:
        return
    fed = True
    while True:
        was_fed, fed = fed, alive()
        if fed:
            notify("WATCHDOG=1", environ=environ)
        elif was_fed:
            log.error("the scheduler does not run any more: systemd's watchdog is not fed")
        await asyncio.sleep(interval / 2)
