"""One look handed on where nothing can scrape: node_exporter's textfile, or a Pushgateway."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit


class OneShotError(Exception):
    """It could not be handed on; the message is a sentence and holds no password of the URL."""


def write_textfile(path: Path, text: bytes) -> None:
    """Replace ``path`` by ``text``, atomically and durably: node_exporter reads the old or the new.

    The file is world-readable, as node_exporter runs as a user of its own. Raises OneShotError.
    """
    if path.suffix != ".prom":
        raise OneShotError(f"{path}: node_exporter reads only files that end in .prom")
    temporary = None
    try:
        # Beside the target, for rename to be atomic; without .prom, for node_exporter to pass over it.
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise OneShotError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def is_gateway(url: str) -> bool:
    """Whether ``url`` can be a Pushgateway's."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def push_to(url: str, job: str, instance: str, text: bytes, timeout: float = 30.0) -> None:
    """PUT ``text`` to a Pushgateway as one group (job, instance): what is gone there is gone.

    Raises OneShotError.
    """
    import httpx

    if not is_gateway(url):
        raise OneShotError("a Pushgateway's URL is like http://push.example:9091")
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    group = "".join(f"/{name}{_grouping(value)}" for name, value in (("job", job), ("instance", instance)))
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    try:
        answer = httpx.put(f"{url.rstrip('/')}/metrics{group}", content=text, headers=headers, timeout=timeout)
    except httpx.HTTPError as error:
        raise OneShotError(f"the Pushgateway {where} cannot be reached ({type(error).__name__})") from None
    if not answer.is_success:
        raise OneShotError(f"the Pushgateway {where} answered {answer.status_code} to PUT /metrics{group}")


def _grouping(value: str) -> str:
    """A grouping label's value in the path; what a path cannot hold goes as base64url."""
    if value and "/" not in value:
        return f"/{quote(value, safe='')}"
    import base64

    return f"@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"
