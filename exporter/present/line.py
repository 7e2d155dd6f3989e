"""Report → one line, for scripts and widgets, and for Nagios."""

from __future__ import annotations

import math

from exporter.model import Report, Severity
from exporter.present.problems import problems_of
from exporter.present.words import counts, now_of, visible

MAX_PERFDATA = 100


def to_line(report: Report, now: float | None = None) -> str:
    """``OK``, or the worst problem and the number of others. No newline.

    The line is ``OK`` exactly if the report's exit code is 0.
    """
    if report.exit_code == 0:
        return "OK"
    problems = problems_of(report, now_of(report, now))
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"


def to_nagios(report: Report, now: float | None = None, *, expiring_within: float = 86400.0) -> tuple[str, int]:
    """A Nagios plugin's output (one line) and exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    UNKNOWN means that a check failed and no other problem is critical. The performance data are the
    seconds left until the nearest MAX_PERFDATA deadlines; ``expiring_within`` (seconds) is their warning
    threshold.
    """
    now = now_of(report, now)
    critical = [problem for problem in problems_of(report, now) if problem.severity is Severity.CRITICAL]
    match report.exit_code:
        case 0:
            word, code = "OK", 0
        case 2:
            word, code = "WARNING", 1
        case _ if critical and not all(problem.is_failed_check for problem in critical):
            word, code = "CRITICAL", 2
        case _:
            word, code = "UNKNOWN", 3
    text = counts(report) if code == 0 else to_line(report, now)
    output = f"OPENCLAW_AUTH {word} - {text.replace('|', '/')}"
    perfdata = " ".join(_perfdata(report, now, expiring_within))
    return (f"{output} | {perfdata}" if perfdata else output), code


def _perfdata(report: Report, now: float, expiring_within: float) -> list[str]:
    deadlines = [
        (profile.expires_at - now, f"{agent.target}/{agent.agent}/{profile.label}")
        for agent, profile in report.profiles
        if profile.expires_at is not None and math.isfinite(profile.expires_at)
    ]
    result = []
    labels: set[str] = set()
    for left, name in sorted(deadlines)[:MAX_PERFDATA]:
        # In a label, an apostrophe is doubled. Equals signs and bars cannot be escaped.
        label = visible(name, 200).replace("'", "''").replace("=", "_").replace("|", "_")
        while label in labels:
            label += "+"
        labels.add(label)
        result.append(f"'{label} expiry'={int(left)}s;{int(expiring_within)}:;0:")
    return result
