"""The exporter with the invariant checker in it: each message that cannot be believed is a line in its log.

Run as a program, with the arguments of openclaw-auth-exporter.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from exporter.alerts import lifecycle
from exporter.alerts.lifecycle.invariants import Ledger, violations
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import AlertState, Message
from exporter.cli import main
from exporter.model import Report

#: What a line in the log begins with.
MARK, CHECKED = "NOT BELIEVED: ", "BELIEVED: "
_advance = lifecycle.advance
_ledgers: list[Ledger] = []


def _checked(
    states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float
) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    if not _ledgers:
        _ledgers.append(Ledger.of(states))
    (ledger,) = _ledgers
    after, messages = _advance(states, report, policy, now)
    for message in messages:
        found = violations(message, report, policy, ledger)
        ledger.note(message, report, policy)
        for line in [MARK + one for one in found] or [CHECKED + message.channel]:
            print(line, file=sys.stderr, flush=True)
    return after, messages


if __name__ == "__main__":
    lifecycle.advance = _checked
    main()
