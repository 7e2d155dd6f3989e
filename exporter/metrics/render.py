"""Report → exposition: what Prometheus sees. Rendered when a look ends; a scrape only copies.

``render_target`` turns one target's report into a Fragment (sample lines by family), ``Exposition``
keeps the fragments of all targets and composes them off the scrape's path. What is shown is the
table in exporter/families.py.

The result is byte for byte what prometheus_client writes for the same families, at less than half
its cost (benchmarks/exposition.py), which is why lines are put together here.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.utils import floatToGoString

from exporter.metrics.definitions import (
    CHECK_METRICS,
    EXPORTER_METRICS,
    METRICS,
    OPENMETRICS,
    TEXT,
    CheckedAgent,
    ExporterState,
    MetricDefinition,
)
from exporter.metrics.labels import escaped, label_value, profile_labels
from exporter.model import AgentCounters, AgentReport, Report, TargetReport

__all__ = [
    "CHECK_METRICS",
    "METRICS",
    "OPENMETRICS",
    "TEXT",
    "AgentCounters",
    "CheckedAgent",
    "ExporterState",
    "Exposition",
    "Fragment",
    "label_value",
    "one_shot",
    "profile_labels",
    "render_target",
]

#: Sample lines by family name, the same in both formats.
Fragment = Mapping[str, bytes]
T = TypeVar("T")

# --- rendering ---------------------------------------------------------------------------------


class _Texts(dict[str, str]):
    """Label values as they are written between the quotes, each worked out once for a rendering."""

    def __missing__(self, label: str) -> str:
        text = self[label] = escaped(label_value(label))
        return text


def _lines(
    family: MetricDefinition[T], subject: T, common: tuple[str, ...], texts: _Texts, seen: set[tuple[str, ...]]
) -> Iterator[str]:
    """The family's sample lines; what is no finite number or would be there twice is left out.

    ``common`` are the values of the first labels, ready to be written.
    """
    line, order = family.line, family.order
    for labels, value in family.rows(subject):
        if value is None or not _finite(value):
            continue
        values = (*common, *[texts[label] for label in labels])
        if values not in seen:
            seen.add(values)
            yield line % (*[values[i] for i in order], floatToGoString(value))  # type: ignore[no-untyped-call]  # not typed


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def render_target(report: TargetReport, counters: Mapping[str, AgentCounters] | None) -> Fragment:
    """One target's sample lines by family. Pure: a target of thousands of profiles may go to a thread.

    ``counters`` are the agents' by id; None leaves all counters out, as one-shots do. Agents that
    have counters and no report yet, or no more (``*``), show their counters alone.
    """
    texts = _Texts()
    target = texts[report.target]
    looks = []
    for agent in report.entries:
        counted = None if counters is None else counters.get(agent.agent, AgentCounters())
        profiles = tuple(zip(profile_labels(agent), agent.profiles, strict=True))
        looks.append(((target, texts[agent.agent]), CheckedAgent(agent, profiles, counted)))
    counting = looks.copy()
    for id in sorted((counters or {}).keys() - {agent.agent for agent in report.entries}):
        nothing = AgentReport(report.target, id, report.source, 0.0, None, 0)
        counting.append(((target, texts[id]), CheckedAgent(nothing, (), (counters or {})[id])))
    fragment = {}
    for family in CHECK_METRICS:
        seen: set[tuple[str, ...]] = set()
        shown = counting if family.type == "counter" else looks
        text = "".join(line for common, look in shown for line in _lines(family, look, common, texts, seen))
        if text:
            fragment[family.name] = text.encode()
    return fragment


def _render_exporter(state: ExporterState, format: str) -> Iterator[bytes]:
    for family in EXPORTER_METRICS:
        lines = "".join(_lines(family, state, (), _Texts(), set())).encode()
        if lines:
            yield family.heads[format] + lines


@dataclass(frozen=True)
class _Composed:
    """One format's big part: its pieces, which the fragments share, and the same compressed.

    ``deflate`` has been fed the pieces and flushed: a copy of it goes on with the small rest.
    """

    pieces: list[bytes]
    head: bytes
    deflate: zlib._Compress


class Exposition:
    """The body of ``/metrics``: fragments put in when looks end, composed beside, copied at a scrape.

    ``put``, ``remove`` and ``body`` belong to the event loop. ``compose`` may run in a thread, one
    at a time: a scrape meanwhile gets what was composed before.
    """

    def __init__(self, state: Callable[[], ExporterState] | None = None) -> None:
        self._state = state
        self._fragments: dict[str, Fragment] = {}
        self._changes = 0  # how many there were
        self._shown = -1  # and how many are composed
        self._composed: dict[str, _Composed] = {}
        self.compose()

    def put(self, target: str, fragment: Fragment) -> None:
        """Show ``fragment`` for ``target`` from the next ``compose`` on."""
        self._fragments[target] = fragment
        self._changes += 1

    def remove(self, target: str) -> None:
        """Show nothing of ``target`` from the next ``compose`` on."""
        if self._fragments.pop(target, None) is not None:
            self._changes += 1

    @property
    def stale(self) -> bool:
        """Whether something was put or removed since the last ``compose``."""
        return self._changes != self._shown

    def compose(self) -> None:
        """Group all fragments by family, targets by name, and compress them; nothing where nothing changed."""
        changes = self._changes
        if changes == self._shown:
            return
        fragments = [fragment for _, fragment in sorted(self._fragments.copy().items())]
        # Both formats tell gauges in the same bytes. They come first and are compressed once.
        pieces = _pieces(fragments, "gauge", TEXT)
        gauges = zlib.compressobj(wbits=31)
        head = b"".join(map(gauges.compress, _batches(pieces)))
        composed = {}
        for format in (TEXT, OPENMETRICS):
            counters = _pieces(fragments, "counter", format)
            deflate = gauges.copy()
            rest = b"".join(map(deflate.compress, _batches(counters)))
            composed[format] = _Composed(pieces + counters, head + rest + deflate.flush(zlib.Z_SYNC_FLUSH), deflate)
        self._composed, self._shown = composed, changes

    def body(self, accept: str = "", accept_encoding: str = "") -> tuple[bytes, str, str | None]:
        """The exposition for a scrape's two headers: body, Content-Type and Content-Encoding."""
        format = choose_format(accept)
        composed = self._composed[format]
        rest = b"".join(_render_exporter(self._state(), format)) if self._state else b""
        if format == OPENMETRICS:
            rest += b"# EOF\n"
        if not accepts_gzip(accept_encoding):
            return b"".join([*composed.pieces, rest]), format, None
        deflate = composed.deflate.copy()
        return composed.head + deflate.compress(rest) + deflate.flush(), format, "gzip"


def _pieces(fragments: list[Fragment], type: str, format: str) -> list[bytes]:
    """The families of one type, each HELP and TYPE once, then every fragment's lines."""
    pieces = []
    for family in CHECK_METRICS:
        if family.type == type:
            lines = [fragment[family.name] for fragment in fragments if family.name in fragment]
            pieces += [family.heads[format], *lines] if lines else []
    return pieces


def _batches(pieces: list[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """The pieces joined to about ``size`` bytes: compressing gives the interpreter up each time."""
    batch: list[bytes] = []
    length = 0
    for piece in pieces:
        batch.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(batch)
            batch, length = [], 0
    yield b"".join(batch)


def one_shot(report: Report, state: ExporterState | None = None) -> bytes:
    """A whole report in the text format without counters: for a textfile or a Pushgateway."""
    exposition = Exposition((lambda: state) if state is not None else None)
    for target in report.targets:
        exposition.put(target.target, render_target(target, None))
    exposition.compose()
    return exposition.body()[0]


# --- content negotiation -----------------------------------------------------------------------


def choose_format(accept: str) -> str:
    """The Content-Type for an ``Accept`` header: the first of its types we speak, by the rules of
    prometheus_client's ``choose_encoder``; TEXT where it names none."""
    for offer in accept.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        version = dict(p.split("=", 1) for p in parameters if "=" in p).get("version", "")
        if name == "application/openmetrics-text" and (not version or _at_least_1(version)):
            return OPENMETRICS
        if name == "text/plain" and _at_least_1(version):
            return TEXT
    return TEXT


def _at_least_1(version: str) -> bool:
    return re.match(r"[1-9]\d*(\.|$)", version, re.ASCII) is not None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header names gzip, and not with ``q=0``."""
    for offer in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False
