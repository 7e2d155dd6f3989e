"""Example reports, and Hypothesis strategies for any report, for the tests of all outputs.

The outputs of the examples are compared with tests/golden/. ``scripts/regenerate`` rewrites those files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from exporter.model import (
    AgentReport,
    Basis,
    Condition,
    ConditionName,
    Failure,
    FailureReason,
    ProfileReport,
    Report,
    Severity,
    Status,
    Step,
    StepKind,
    TargetReport,
    Unusable,
    UsageWindow,
    command,
    note,
)

#: 2026-11-22T10:00:00Z
NOW = 1795341600.0
HOUR = 3600.0
DAY = 24 * HOUR
SECRET = "HIDDEN-SECRET-sk-ant-oat01"


def profile(id: str = "anthropic:default", **changes: Any) -> ProfileReport:
    """A token that works for 30 more days, with ``changes``."""
    facts: dict[str, Any] = {
        "id": id,
        "provider": id.split(":")[0],
        "kind": "token",
        "status": Status.OK,
        "expires_at": NOW + 30 * DAY,
        "basis": Basis.REPORTED,
        "refreshable": False,
        "selected": True,
        "unusable": None,
        "unusable_seen": True,
        "in_use": True,
        "usable": True,
        "label": id,
        "secret_hash": SECRET,
        "evidence": ("OpenClaw reports ok, with a date",),
    }
    return ProfileReport(**(facts | changes))


def agent(*profiles: ProfileReport, id: str = "main", **changes: Any) -> AgentReport:
    """An agent checked now, without conditions, with ``changes``."""
    facts: dict[str, Any] = {
        "target": "home",
        "agent": id,
        "source": "openclaw",
        "evaluated_at": NOW,
        "checked_at": NOW,
        "exit_code": 0,
        "profiles": profiles,
        "providers_usable": {"anthropic": True},
        "unusable_counts": {"anthropic": 0},
        "openclaw_exit_code": 0,
        "openclaw_version": "2026.9.6",
        "duration": 2.5,
    }
    return AgentReport(**(facts | changes))


def report(*agents: AgentReport, **changes: Any) -> Report:
    return Report(NOW, (TargetReport("home", "openclaw", agents, **changes),))


PASTE = (
    command("claude setup-token"),
    command("openclaw models auth paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d"),
)


def healthy() -> Report:
    """A token with a date and a key without, both usable."""
    key = profile("openai:key", kind="api_key", status=Status.STATIC, expires_at=None, basis=None, refreshable=None)
    return report(agent(profile(last_used_at=NOW - 60, error_count=0), key, notes=("completed from the store",)))


def expiring() -> Report:
    """A deadline inside 24 hours."""
    deadline = NOW + 12 * HOUR - 20
    condition = Condition(
        ConditionName.EXPIRING,
        Severity.WARNING,
        "anthropic",
        "anthropic:default",
        "The token ends in 11 h 59 min, at 2026-11-22 21:59 UTC.",
        PASTE,
        deadline=deadline,
        rule="the deadline is within expiring_within (24h)",
    )
    one = profile(status=Status.EXPIRING, expires_at=deadline)
    return report(agent(one, exit_code=2, openclaw_exit_code=2, conditions=(condition,)))


def expired_with_spare() -> Report:
    """An expired token beside a usable one: a warning, in two agents that share it."""
    deadline = NOW - 3 * HOUR
    condition = Condition(
        ConditionName.EXPIRED,
        Severity.WARNING,
        "anthropic",
        "anthropic:default",
        "The token ended 3 h ago; anthropic:spare serves the provider.",
        PASTE,
        since=deadline,
        deadline=deadline,
        rule="another usable profile serves the provider",
    )
    old = profile(status=Status.EXPIRED, expires_at=deadline, basis=Basis.LEDGER, selected=False, usable=False)
    spare = profile("anthropic:spare")
    first = agent(old, spare, exit_code=2, openclaw_exit_code=1, conditions=(condition,))
    second = agent(old, spare, id="work", exit_code=2, openclaw_exit_code=1, conditions=(condition,))
    return report(first, second)


def unusable() -> Report:
    """The only profile is disabled for billing, so its provider has none."""
    until = NOW + 10 * HOUR
    disabled = Condition(
        ConditionName.UNUSABLE,
        Severity.CRITICAL,
        "anthropic",
        "anthropic:default",
        "Disabled: billing.",
        (note("Top up the account, then: openclaw models status"),),
        reason="billing",
        rule="billing needs a person",
    )
    nothing = Condition(
        ConditionName.NO_USABLE_PROFILE,
        Severity.CRITICAL,
        "anthropic",
        None,
        "No credential of anthropic works: anthropic:default is disabled (billing).",
        rule="every credential of a provider in use is expired, missing or unusable",
    )
    down = profile(unusable=Unusable("disabled", "billing", until), usable=False)
    return report(
        agent(
            down,
            exit_code=1,
            openclaw_exit_code=1,
            conditions=(disabled, nothing),
            providers_usable={"anthropic": False},
            unusable_counts={"anthropic": 1},
            usage=(UsageWindow("anthropic", "5h", 0.93, NOW + HOUR),),
        )
    )


def failed() -> Report:
    """A check that failed two hours after the last successful one."""
    failure = Failure(FailureReason.TIMEOUT, "openclaw gave no answer within 60 s", NOW)
    condition = Condition(
        ConditionName.CHECK_FAILED, Severity.CRITICAL, summary=failure.message, reason="timeout", rule="no answer"
    )
    return report(
        agent(
            profile(), checked_at=NOW - 2 * HOUR, exit_code=1, failure=failure, conditions=(condition,), duration=60.0
        )
    )


def not_listed() -> Report:
    """The agents could not be listed."""
    return report(
        failure=Failure(FailureReason.COMMAND_NOT_FOUND, "openclaw is not there", NOW), chosen="openclaw: on PATH"
    )


def odd_ids() -> Report:
    """Ids with quotes, control characters, a lone surrogate, beyond any length; a cooldown that is not reported."""
    missing = Condition(
        ConditionName.MISSING,
        Severity.CRITICAL,
        "anthropic",
        "a\"b\\c\nd\x1b[31m|='e",
        "No secret.",
        (command("openclaw models auth paste-token"),),
        reason="missing_credential",
        rule="not eligible",
    )
    odd = profile("a\"b\\c\nd\x1b[31m|='e", provider="anthropic", status=Status.MISSING, usable=False)
    lone = profile("anthropic:\ud800", unusable_seen=False, selected=None)
    long = profile("anthropic:" + "x" * 300, expires_at=1e15)
    same = profile("anthropic:twin-1", label="twin"), profile("anthropic:twin-2", label="twin")
    return report(
        agent(
            odd,
            lone,
            long,
            *same,
            exit_code=1,
            openclaw_exit_code=None,
            openclaw_version=None,
            unusable_counts=None,
            conditions=(missing,),
        )
    )


EXAMPLES = {
    "healthy": healthy,
    "expiring": expiring,
    "expired_with_spare": expired_with_spare,
    "unusable": unusable,
    "failed": failed,
    "not_listed": not_listed,
    "odd_ids": odd_ids,
}


# --- any report -------------------------------------------------------------------------

_texts = st.one_of(
    st.sampled_from(["anthropic", "anthropic:default", "a\x00", "a\ufffd", "main", "*", ""]),
    st.text(st.characters(), max_size=12),  # lone surrogates and control characters too
    st.text(min_size=1, max_size=3).map(lambda text: text * 100),
)
_moments = st.one_of(st.floats(NOW - 400 * DAY, NOW + 400 * DAY), st.floats())
_counts = st.integers(0, 3) | st.just(10**400)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_unusables = st.builds(Unusable, _texts, _maybe(_texts), _maybe(_moments), _maybe(_texts))
_profiles = st.builds(
    ProfileReport,
    id=_texts,
    provider=_texts,
    kind=_texts,
    status=st.sampled_from(Status),
    expires_at=_maybe(_moments),
    basis=_maybe(st.sampled_from(Basis)),
    refreshable=_maybe(st.booleans()),
    selected=_maybe(st.booleans()),
    unusable=_maybe(_unusables),
    unusable_seen=st.booleans(),
    in_use=_maybe(st.booleans()),
    usable=st.booleans(),
    label=_texts,
    last_used_at=_maybe(_moments),
    error_count=_maybe(_counts),
    secret_hash=st.just(SECRET),
    evidence=st.lists(_texts, max_size=2).map(tuple),
)
_conditions = st.builds(
    Condition,
    name=st.sampled_from(ConditionName),
    severity=st.sampled_from(Severity),
    provider=_maybe(_texts),
    profile=_maybe(_texts),
    summary=_texts,
    steps=st.lists(st.builds(Step, st.sampled_from(StepKind), _texts), max_size=2).map(tuple),
    reason=_maybe(_texts),
    deadline=_maybe(_moments),
    rule=_texts,
)
_failures = st.builds(Failure, st.sampled_from(FailureReason), _texts, _moments)
_agents = st.builds(
    AgentReport,
    target=_texts,
    agent=_texts,
    source=_texts,
    evaluated_at=_moments,
    checked_at=_maybe(_moments),
    exit_code=st.sampled_from([0, 1, 2]),
    profiles=st.lists(_profiles, max_size=4).map(tuple),
    conditions=st.lists(_conditions, max_size=4).map(tuple),
    providers_usable=st.dictionaries(_texts, st.booleans(), max_size=2),
    unusable_counts=_maybe(st.dictionaries(_texts, st.integers(0, 3), max_size=2)),
    usage=st.lists(st.builds(UsageWindow, _texts, _texts, _moments, _maybe(_moments)), max_size=2).map(tuple),
    openclaw_exit_code=_maybe(_counts),
    openclaw_version=_maybe(_texts),
    failure=_maybe(_failures),
    duration=_maybe(_moments),
    notes=st.lists(_texts, max_size=2).map(tuple),
)
_targets = st.builds(
    TargetReport,
    target=_texts,
    source=_texts,
    agents=st.lists(_agents, max_size=3).map(tuple),
    failure=_maybe(_failures),
    chosen=_maybe(_texts),
)
#: Any Report: any text and number in any field. Targets have different names.
reports = st.builds(
    Report,
    checked_at=_moments,
    targets=st.lists(_targets, max_size=3, unique_by=lambda target: target.target).map(tuple),
)


GOLDEN = Path(__file__).parent / "golden"


def compare_golden(name: str, text: str) -> None:
    """Fails where ``text`` is not what the golden file ``name`` holds."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    assert text == path.read_bytes().decode()
