"""The invariant checker finds faults: each is planted in the lifecycle, and a history shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from alerts.lived import Step, acknowledged, breaks, dated, down, ends, fails, lived, passes, pasted, recovers, succeeds
from alerts.worlds import DAY, HOUR, MINUTE
from exporter.alerts.lifecycle import decisions, endings, pipeline, states
from exporter.alerts.lifecycle.agents import agent_fact
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.lifecycle.suppression import Suppression
from exporter.alerts.values import AgentFact, AlertState, NotificationReason, Resolution, States, changed

Plant = Callable[[pytest.MonkeyPatch], None]


def everything_is_renewed(patch: pytest.MonkeyPatch) -> None:
    original = endings.end_of_agent

    def end(*args: Any) -> Resolution:
        return replace(original(*args), reason=NotificationReason.RENEWED)

    patch.setattr(endings, "end_of_agent", end)


def one_agent_stands_for_all(patch: pytest.MonkeyPatch) -> None:
    original = states._shown

    def shown(*args: Any) -> dict[str, Any]:
        changes = original(*args)
        return changes | {"agents": changes["agents"][:1]}

    patch.setattr(states, "_shown", shown)


def _of_each_agent(patch: pytest.MonkeyPatch, change: Callable[[AgentFact], AgentFact]) -> None:
    patch.setattr(states, "agent_fact", lambda *args: change(agent_fact(*args)))


def dates_are_a_day_late(patch: pytest.MonkeyPatch) -> None:
    _of_each_agent(patch, lambda fact: replace(fact, deadline=fact.deadline + DAY if fact.deadline else None))


def assumed_dates_are_reported_ones(patch: pytest.MonkeyPatch) -> None:
    _of_each_agent(patch, lambda fact: replace(fact, is_assumed=False))


def nothing_is_inhibited(patch: pytest.MonkeyPatch) -> None:
    _of_each_agent(patch, lambda fact: replace(fact, inhibited=False))


def silences_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipeline, "silenced_keys", lambda *_: frozenset())


def nights_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Suppression, "is_quiet_for", lambda *_: False)


def acknowledgements_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AlertPolicy, "acknowledged_at", lambda *_: None)


def notifications_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    original = pipeline.mark_notified

    def mark(before: States, *args: Any) -> States:
        after = original(before, *args)
        return {key: changed(state, notified=before[key].notified) for key, state in after.items()}

    patch.setattr(pipeline, "mark_notified", mark)


def ends_do_not_wait_for_confirmation(patch: pytest.MonkeyPatch) -> None:
    def end_at(state: AlertState, last: Any) -> float | None:
        return state.resolution.at if state.resolution is not None else None

    patch.setattr(decisions, "end_at", end_at)


EXPIRES = (ends("main", "anthropic:b", 10 * DAY), passes(9.5 * DAY))

#: The faults, each with what the checker says of it.
SENTENCES: Mapping[Plant, str] = {
    everything_is_renewed: "is renewed, but is the credential that it was",
    one_agent_stands_for_all: "does not name work, which is expiring too",
    dates_are_a_day_late: "but its date is",
    assumed_dates_are_reported_ones: "has an assumed date that is not marked",
    nothing_is_inhibited: "is sent beside the no_usable_profile",
    silences_are_forgotten: "is sent although it is silenced",
    nights_are_forgotten: "is sent in quiet hours",
    acknowledgements_are_forgotten: "is repeated although it was acknowledged",
    notifications_are_forgotten: "is first, but the channel was notified of it and of no end",
    ends_do_not_wait_for_confirmation: "ends, but lab is still check_failed",
}

FAULTS: Mapping[Plant, tuple[Step, ...]] = {
    everything_is_renewed: (
        breaks("main", "anthropic:b", "auth"),
        passes(MINUTE),
        recovers("main", "anthropic:b"),
    ),
    one_agent_stands_for_all: EXPIRES,
    dates_are_a_day_late: EXPIRES,
    assumed_dates_are_reported_ones: (pasted("main", "anthropic:b", 10 * DAY, undated=True),),
    nothing_is_inhibited: (down("anthropic"),),
    silences_are_forgotten: (lambda h: h.is_silenced(("provider", "anthropic"), 3 * HOUR), *EXPIRES[:1]),
    nights_are_forgotten: (passes(13 * HOUR), dated("main", "anthropic:b", 5 * HOUR)),
    acknowledgements_are_forgotten: (down("anthropic", 20 * MINUTE),),
    notifications_are_forgotten: (down("anthropic"),),
    ends_do_not_wait_for_confirmation: (
        fails("lab"),
        acknowledged(20 * MINUTE),
        succeeds,
        fails("lab"),
    ),
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_checker_finds_a_fault_that_is_planted_in_the_lifecycle(plant: Plant) -> None:
    steps = FAULTS[plant]
    lived(*steps, passes(MINUTE), group_wait=10.0)
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        with pytest.raises(AssertionError) as failure:
            lived(*steps, passes(MINUTE), group_wait=10.0)
    assert SENTENCES[plant] in str(failure.value)
