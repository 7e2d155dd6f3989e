"""Report → exposition. A report is rendered when its check ends; a scrape only copies the result.

``render_target`` turns the report of one target into a Fragment. ``Exposition`` keeps the fragments of
all targets and composes the response body before the next scrape. The metrics are defined in
``exporter/metrics/definitions.py``.

The result is byte for byte that of prometheus_client, at less than half its cost (see
benchmarks/exposition.py). This is why the lines are built here.
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
    OPENMETRICS,
    TEXT,
    TIMED_METRICS,
    CheckedAgent,
    ExporterState,
    MetricDefinition,
)
from exporter.metrics.labels import escaped, label_value, profile_labels
from exporter.model import AgentCounters, AgentReport, Report, TargetReport

#: Sample lines by metric name. They are the same in both formats.
Fragment = Mapping[str, bytes]
T = TypeVar("T")
_NO_LABELS: Mapping[str, str] = {}

# --- rendering -------------------------------------------------------------------------------------


class _EscapedLabels(dict[str, str]):
    """Label values, cleaned and escaped. Each is computed once per rendering."""

    def __missing__(self, label: str) -> str:
        text = self[label] = escaped(label_value(label))
        return text


def _lines(
    metric: MetricDefinition[T], facts: T, common: tuple[str, ...], texts: _EscapedLabels, seen: set[tuple[str, ...]]
) -> Iterator[str]:
    """The sample lines of one metric, without those that are not finite or already in ``seen``.

    ``common`` are the values of the first labels, already escaped.
    """
    line, order = metric.line, metric.order
    for labels, value in metric.rows(facts):
        if value is None or not _is_finite(value):
            continue
        values = (*common, *[texts[label] for label in labels])
        if values not in seen:
            seen.add(values)
            yield line % (*[values[i] for i in order], floatToGoString(value))  # type: ignore[no-untyped-call]  # not typed


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def render_target(
    report: TargetReport,
    counters: Mapping[str, AgentCounters] | None,
    before: tuple[TargetReport, Fragment] | None = None,
    labels: Mapping[str, str] = _NO_LABELS,
) -> Fragment:
    """The sample lines of one target, by metric. Pure, so that a large target can be rendered in a thread.

    ``counters`` are the agents' by id; None leaves all counters out, as one-shots do. An agent with
    counters and without a report (not checked yet, or no longer listed) has only its counters. ``before`` is an
    earlier report of the target with its fragment: what is the same in both is not rendered again. ``labels`` are
    further ones that every series has (``web.metric_labels``); ``before`` had the same.
    """
    if before is not None and _differ_only_in_time(before[0], report):
        metrics, fragment = TIMED_METRICS, dict(before[1])
    else:
        metrics, fragment = CHECK_METRICS, {}
    texts = _EscapedLabels()
    target, names = texts[report.target], tuple(labels)
    values = tuple(texts[text] for text in labels.values())
    reported = []
    for agent in report.entries:
        profiles = tuple(zip(profile_labels(agent), agent.profiles, strict=True))
        checked = CheckedAgent(agent, profiles, (counters or {}).get(agent.agent, AgentCounters()))
        reported.append(((target, texts[agent.agent], *values), checked))
    counted = reported.copy()
    for id in sorted((counters or {}).keys() - {agent.agent for agent in report.entries}):
        unreported = AgentReport(report.target, id, report.source, 0.0, None, 0)
        counted.append(((target, texts[id], *values), CheckedAgent(unreported, (), (counters or {})[id])))
    # The agent "*" stands for the target: unlike others it is known from the start and is never removed.
    first = next((i for i, (_, checked) in enumerate(counted) if checked.agent.agent == "*"), 0)
    counted = [(common, checked._replace(stands_for_target=i == first)) for i, (common, checked) in enumerate(counted)]
    for metric in metrics:
        is_counter = metric.type == "counter"
        if is_counter and counters is None:
            continue
        seen: set[tuple[str, ...]] = set()
        agents, shown = counted if is_counter else reported, metric.with_labels(names)
        text = "".join(line for common, checked in agents for line in _lines(shown, checked, common, texts, seen))
        if text:
            fragment[metric.name] = text.encode()
        else:
            fragment.pop(metric.name, None)
    return fragment


def _differ_only_in_time(before: TargetReport, after: TargetReport) -> bool:
    """Whether only the metrics of TIMED_METRICS can differ. An unchanged report shares its parts."""
    if len(before.agents) != len(after.agents) or before.failure is not None or after.failure is not None:
        return False
    return all(
        getattr(old, name) is getattr(new, name)
        for old, new in zip(before.agents, after.agents, strict=True)
        for name in _SAME_IN_BOTH
    )


_SAME_IN_BOTH = tuple(name for name in AgentReport._fields if name not in ("evaluated_at", "checked_at", "duration"))


def gauges(fragment: Fragment) -> bytes:
    """A target's exposition in the text format without counters, and without anything else."""
    found = [metric for metric in CHECK_METRICS if metric.type == "gauge" and metric.name in fragment]
    return b"".join(metric.heads[TEXT] + fragment[metric.name] for metric in found)


def renamed(fragment: Fragment, target: str, to: str) -> Fragment:
    """``fragment`` of ``target``, which has no agent but ``*``, as that of the target ``to``."""
    before, after = (f'target="{escaped(label_value(name))}"'.encode() for name in (target, to))
    return {name: lines.replace(before, after) for name, lines in fragment.items()}


def unrendered(target: str) -> Fragment:
    """The sample lines of a target whose report cannot be rendered: that its check failed, and nothing else.

    They need nothing of ``render_target``, which may be what failed.
    """
    target = target.replace("\\", "\\\\").replace('"', '\\"')
    labels = f'agent="*",target="{target}"'
    check_failed = f'agent="*",condition="check_failed",severity="critical",target="{target}"'
    lines = {
        "exit_code": f"{{{labels}}} 1.0",
        "check_success": f"{{{labels}}} 0.0",
        "conditions": f"{{{check_failed}}} 1.0",
    }
    return {f"openclaw_auth_{name}": f"openclaw_auth_{name}{line}\n".encode() for name, line in lines.items()}


def _render_exporter(state: ExporterState, format: str) -> Iterator[bytes]:
    for metric in EXPORTER_METRICS:
        lines = "".join(_lines(metric, state, (), _EscapedLabels(), set())).encode()
        if lines:
            yield metric.heads[format] + lines


@dataclass(frozen=True)
class _Composed:
    """The metrics of all checks in one format, plain and compressed.

    ``deflate`` has been fed the pieces and flushed. A copy of it compresses the rest of a scrape.
    """

    pieces: list[bytes]
    head: bytes
    deflate: zlib._Compress


class Exposition:
    """The body of ``/metrics``: fragments are put in after checks, composed, and copied at a scrape.

    ``put``, ``remove`` and ``body`` belong to the event loop. ``compose`` may run in a thread, one at a
    time. Until it returns, scrapes get what was composed before.
    """

    def __init__(self, state: Callable[[], ExporterState] | None = None) -> None:
        self._state = state
        self._fragments: dict[str, Fragment] = {}
        self._changes = 0  # number of changes to the fragments
        self._composed_changes = -1  # number of changes that are composed
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
    def changes(self) -> int:
        """How many times a fragment was put or removed so far."""
        return self._changes

    def has_composed(self, changes: int) -> bool:
        """Whether so many changes are composed."""
        return self._composed_changes >= changes

    @property
    def stale(self) -> bool:
        """Whether a fragment was put or removed since the last ``compose``."""
        return not self.has_composed(self._changes)

    def compose(self) -> None:
        """Group all fragments by metric, sort them by target, and compress them. Does nothing if not stale."""
        changes = self._changes
        if changes == self._composed_changes:
            return
        fragments = [fragment for _, fragment in sorted(self._fragments.copy().items())]
        # Gauges are the same bytes in both formats, so they come first and are compressed once.
        pieces = _pieces(fragments, "gauge", TEXT)
        gauges = zlib.compressobj(wbits=31)
        head = b"".join(map(gauges.compress, _batches(pieces)))
        composed = {}
        for format in (TEXT, OPENMETRICS):
            counters = _pieces(fragments, "counter", format)
            deflate = gauges.copy()
            rest = b"".join(map(deflate.compress, _batches(counters)))
            composed[format] = _Composed(pieces + counters, head + rest + deflate.flush(zlib.Z_SYNC_FLUSH), deflate)
        self._composed, self._composed_changes = composed, changes

    def body(self, accept: str = "", accept_encoding: str = "") -> tuple[bytes, str, str | None]:
        """The response to a scrape with these two headers: body, Content-Type and Content-Encoding."""
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
    """The metrics of one type: HELP and TYPE once, then the lines of every fragment."""
    pieces = []
    for metric in CHECK_METRICS:
        if metric.type == type:
            lines = [fragment[metric.name] for fragment in fragments if metric.name in fragment]
            pieces += [metric.heads[format], *lines] if lines else []
    return pieces


def _batches(pieces: list[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """The pieces joined to batches of about ``size`` bytes. zlib releases the interpreter lock for each."""
    batch: list[bytes] = []
    length = 0
    for piece in pieces:
        batch.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(batch)
            batch, length = [], 0
    yield b"".join(batch)


def one_shot(
    report: Report, state: ExporterState | None = None, labels_of: Callable[[str], Mapping[str, str]] | None = None
) -> bytes:
    """A whole report in the text format without counters, for a textfile or a Pushgateway.

    ``labels_of`` gives the further labels of a target's series by its name.
    """
    targets = sorted(report.targets, key=lambda target: target.target)
    fragments = [
        render_target(target, None, labels=labels_of(target.target) if labels_of is not None else _NO_LABELS)
        for target in targets
    ]
    about_exporter = _render_exporter(state, TEXT) if state is not None else ()
    return b"".join([*_pieces(fragments, "gauge", TEXT), *about_exporter])


# --- content negotiation ---------------------------------------------------------------------------


def choose_format(accept: str) -> str:
    """The Content-Type for an ``Accept`` header: the first type in it that we support, else TEXT.

    Follows the rules of prometheus_client's ``choose_encoder``.
    """
    for offer in accept.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        version = dict(p.split("=", 1) for p in parameters if "=" in p).get("version", "")
        if name == "application/openmetrics-text" and (not version or _is_at_least_1(version)):
            return OPENMETRICS
        if name == "text/plain" and _is_at_least_1(version):
            return TEXT
    return TEXT


def _is_at_least_1(version: str) -> bool:
    return re.match(r"[1-9]\d*(\.|$)", version, re.ASCII) is not None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header names gzip, and not with ``q=0``."""
    for offer in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False
