"""One report written where Prometheus cannot scrape it: node_exporter's textfile collector, or a Pushgateway."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from exporter.lib.errors import ExpectedError


class ExportError(ExpectedError):
    """The report could not be pushed. The message is a sentence without the URL's password."""


class TextfileError(ExportError):
    """The file could not be written."""

    exit_code = os.EX_CANTCREAT


def write_textfile(path: Path, text: bytes) -> None:
    """Replace the file ``path`` by ``text``, atomically and durably: node_exporter reads the old or the new one.

    The file is world-readable, because node_exporter runs as another user. Raises TextfileError.
    """
    if path.suffix != ".prom":
        raise TextfileError(f"{path}: node_exporter only reads files whose names end in .prom")
    temporary = None
    try:
        # In the same directory, so that the rename is atomic; not *.prom, so that node_exporter ignores it.
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
        raise TextfileError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def is_gateway(url: str) -> bool:
    """Whether ``url`` can be the URL of a Pushgateway."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def push_to(url: str, job: str, instance: str, text: bytes, timeout: float = 30.0) -> None:
    """PUT ``text`` to a Pushgateway as the group (job, instance), which replaces that group.

    The environment's proxies are used. Raises ExportError.
    """
    from exporter.lib import http  # imports httpx, which `textfile` does not need

    if not is_gateway(url):
        raise ExportError("write the URL of a Pushgateway like http://push.example:9091")
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    group = "".join(f"/{name}{_grouping(value)}" for name, value in (("job", job), ("instance", instance)))
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    address = f"{url.rstrip('/')}/metrics{group}"
    try:
        answer = http.send_and_wait("PUT", address, timeout=timeout, content=text, headers=headers, use_proxies=True)
    except http.RequestError as error:
        raise ExportError(f"the Pushgateway {where} cannot be reached: {error.message}") from None
    if not answer.is_success:
        raise ExportError(f"the Pushgateway {where} {http.status_text(answer.status)} (PUT /metrics{group})")


def _grouping(value: str) -> str:
    """The value of a grouping label in the path; base64url where a path cannot contain it."""
    if value and "/" not in value:
        return f"/{quote(value, safe='')}"
    import base64

    return f"@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"
