"""Reads what a request carries: the fields of its body, and the scrape timeout of a probe."""

from __future__ import annotations

import datetime as dt
import json
import math
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from exporter.lib.durations import parse_duration

#: When a silence until morning ends.
MORNING = dt.time(7)
#: Seconds of the scrape timeout that are left for sending the answer.
PROBE_MARGIN = 0.5
#: Seconds that a probe may take if the client sends no scrape timeout: it is a person.
PROBE_TIMEOUT = 60.0
MAX_PROBE_TIMEOUT = 3600.0


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an HTML form (the first of each name) or of a JSON object of strings.

    Raises HTTPException: 400 for a malformed body, 415 for another content type.
    """
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or not all(map(_is_text, (*fields, *fields.values()))):
            raise HTTPException(400, "The body must be a JSON object of strings.")
        return fields
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "The body must be a form (application/x-www-form-urlencoded) or JSON.")
    try:
        parsed = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None
    return {name: values[0] for name, values in parsed.items()}


def _is_text(value: object) -> bool:
    """Whether it is a string that can be written: JSON may name half of a character, a lone surrogate."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def silence_length(text: str, now: float, zone: dt.tzinfo) -> float:
    """Seconds of a silence: a duration like ``8h``, or ``morning`` for the time until the next MORNING in ``zone``.

    Raises ValueError with a sentence.
    """
    if text != "morning":
        seconds = parse_duration(text)
        if not seconds:
            raise ValueError(f"{text!r} must be longer than 0")
        return seconds
    today = dt.datetime.fromtimestamp(now, zone).date()
    mornings = (dt.datetime.combine(today + dt.timedelta(days), MORNING, zone).timestamp() for days in (0, 1))
    return next(morning for morning in mornings if morning > now) - now


def probe_timeout(header: str | None) -> float:
    """Seconds that a probe may take, from Prometheus' X-Prometheus-Scrape-Timeout-Seconds."""
    try:
        seconds = float(header or "")
    except ValueError:
        return PROBE_TIMEOUT
    if not math.isfinite(seconds) or seconds <= 0:
        return PROBE_TIMEOUT
    return min(max(seconds - PROBE_MARGIN, seconds / 2), MAX_PROBE_TIMEOUT)
