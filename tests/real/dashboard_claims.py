"""The expected answer of each dashboard query in the world of ``dashboard_world``, except for the list of findings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from exporter import __version__

from .dashboard_world import DAY, HOUR, Stage

Labels = dict[str, str]
Answer = list[tuple[Labels, float]]
Claim = Callable[[Answer, Stage], None]
EXACT = 0.002


def pairs(answer: Answer, *names: str) -> dict[Any, float]:
    """Return label values → value. No two series may have the same label values."""
    found = {tuple(labels[name] for name in names) if len(names) > 1 else labels[names[0]]: v for labels, v in answer}
    assert len(found) == len(answer)
    return found


def single(answer: Answer) -> float:
    ((labels, value),) = answer
    assert labels == {}
    return value


def is_close(found: dict[Any, float], expected: dict[Any, float], within: float = EXACT) -> None:
    assert found == pytest.approx(expected, abs=within, rel=0)


def deadlines(stage: Stage) -> dict[str, float]:
    """Return the deadlines of the profiles whose date is known exactly."""
    days = {"cabin": 40, "desk": 5, "garage": -2, "porch": 80, "rack7": 70, "shed": 50}
    known = {f"{name} · anthropic:default": stage.now + days * DAY for name, days in days.items()}
    known |= {"office · anthropic:default": stage.now - 3 * HOUR, "garage · anthropic:spare": stage.now + 60 * DAY}
    known |= {"mill · anthropic:shut": stage.now + 95 * DAY, "mill · anthropic:spare": stage.now + 90 * DAY}
    return known | {"home · anthropic:default": stage.expires}


def deadline_dates(answer: Answer, stage: Stage) -> None:
    found = {where: value / 1000 for where, value in pairs(answer, "where").items()}
    assert found.pop("barn · anthropic:default") == pytest.approx(stage.now + 365 * DAY, abs=time.time() - stage.now)
    for simulated in ("kept", "local"):
        assert DAY < found.pop(f"{simulated} · anthropic:default") - stage.now < 70 * DAY
    is_close(found, deadlines(stage))


def deadlines_left(answer: Answer, stage: Stage) -> None:
    found = pairs(answer, "where")
    known = {where: at - time.time() for where, at in deadlines(stage).items()}
    is_close({where: found[where] for where in known}, known, 10)
    assert found.keys() - known == {f"{name} · anthropic:default" for name in ("barn", "kept", "local")}


def unusable(answer: Answer, stage: Stage) -> None:
    found = {key: value / 1000 for key, value in pairs(answer, "where", "reason", "problem").items()}
    expected = {
        ("cabin · anthropic:default", "unknown", "openclawauthcoolingdown"): stage.now + 20 * 60,
        ("home · google:login", "billing", "openclawauthunusable"): stage.now + HOUR,
        ("mill · anthropic:shut", "auth_permanent", "openclawauthunusable"): stage.now + 2 * HOUR,
        ("shed · anthropic:default", "auth_permanent", "openclawauthunusable"): stage.now + HOUR,
    }
    is_close(found, expected)


def waits(answer: Answer, stage: Stage) -> None:
    found = pairs(answer, "channel")
    assert found.pop("hook") == stage.exporter.value("notifications_pending", channel="hook")
    assert found == {"old": 0, "phone": 0}


def dead(answer: Answer, stage: Stage) -> None:
    found = pairs(answer, "channel")
    assert 1 <= found.pop("old") <= (stage.exporter.value("notifications_dead_total", channel="old") or 0) + 1
    assert found == {"hook": 0, "phone": 0}


def by_phone_alone(answer: Answer, stage: Stage) -> None:
    found = pairs(answer, "channel")
    assert stage.now < found.pop("phone") / 1000 <= time.time()
    assert found == {"hook": 0, "old": 0}


def down(answer: Answer, stage: Stage) -> None:
    # Also for targets that are checked only once an hour: none of these has worked since the first check.
    found = pairs(answer, "target", "provider")
    assert found.keys() == {(name, "anthropic") for name in ("cabin", "empty", "hut", "loft", "office", "shed")}
    values = [value for _, value in answer]
    assert values == sorted(values, reverse=True)
    checked_at = [
        stage.exporter.value("check_last_success_timestamp_seconds", target=target, agent="main") or 0
        for target, _ in found
        if target != "office"
    ]
    assert time.time() - max(checked_at) - 10 < min(values) <= max(values) < time.time() - stage.now


def serving(answer: Answer, stage: Stage) -> None:
    others = ("barn", "desk", "kept", "local", "porch", "rack7")
    expected = {(name, "anthropic:default"): 0.0 for name in others} | {
        (name, "anthropic:spare"): 0.0 for name in ("garage", "mill")
    }
    expected["home", "anthropic:default"] = int(stage.now * 1000) - 60_000
    is_close(pairs(answer, "target", "profile"), expected)


def states(answer: Answer, stage: Stage) -> None:
    down = {(name, "anthropic"): 4.0 for name in ("cabin", "empty", "hut", "loft", "office", "shed")}
    rest = {
        ("garage", "anthropic"): 3.0,
        ("mill", "anthropic"): 3.0,
        ("home", "google"): 3.0,
        ("home", "anthropic"): 2.0,
        ("desk", "anthropic"): 1.0,
    }
    fine = {(name, "anthropic"): 0.0 for name in ("barn", "kept", "local", "porch", "rack7")}
    assert pairs(answer, "target", "provider") == down | rest | fine
    values = [value for _, value in answer]
    assert values == sorted(values, reverse=True)


def provider_deadlines(answer: Answer, stage: Stage) -> None:
    found = {target: value / 1000 for target, value in pairs(answer, "target").items()}
    dates = deadlines(stage).items()
    known = {where.split(" · ")[0]: at for where, at in sorted(dates, key=lambda item: item[1], reverse=True)}
    is_close({target: found[target] for target in known}, known)
    assert found.keys() - known == {"barn", "kept", "local"}


def failing(answer: Answer, stage: Stage) -> None:
    found = pairs(answer, "target", "reason")
    assert found.keys() == {("attic", "invalid_output"), ("cellar", "command_error")}
    assert min(found.values()) >= 1


def slowest(answer: Answer, stage: Stage) -> None:
    found = [value for _, value in answer]
    assert len(pairs(answer, "target")) == 10
    assert found == sorted(found, reverse=True)
    assert found[0] == max(stage.prometheus.query("openclaw_auth_check_duration_seconds"), key=lambda pair: pair[1])[1]


def exporters(value: float, odd: float) -> Claim:
    return lambda answer, stage: is_close(pairs(answer, "instance"), {"all": value, "odd": odd})


def at_most(low: float, high: float) -> Claim:
    def check(answer: Answer, stage: Stage) -> None:
        assert low <= single(answer) <= high

    return check


def is_exactly(value: float) -> Claim:
    def check(answer: Answer, stage: Stage) -> None:
        assert single(answer) == value

    return check


def by_label(label: str, expected: dict[str, float]) -> Claim:
    return lambda answer, stage: is_close(pairs(answer, label), expected)


def quota_resets(answer: Answer, stage: Stage) -> None:
    expected = {"rack7 · anthropic · 5h": stage.now + 2 * HOUR, "rack7 · anthropic · Week": stage.now + 3 * DAY}
    is_close(pairs(answer, "where"), {where: at * 1000 for where, at in expected.items()}, 1000)


OLDEST = at_most(4 * HOUR - 60, 4 * HOUR + 2 * HOUR)
#: (dashboard, panel, letter) → the check of its answer, for every instant query.
MOMENTS: dict[tuple[str, str, str], Claim] = {
    ("overview", "Right now", "A"): is_exactly(3),
    ("overview", "Next deadline", "A"): lambda a, s: is_close({0: single(a)}, {0: s.expires * 1000}, 1),
    ("overview", "Oldest check", "A"): OLDEST,
    ("overview", "Messages waiting", "A"): at_most(2, 50),
    ("overview", "Deadlines", "A"): deadlines_left,
    ("overview", "Deadlines", "B"): deadline_dates,
    ("overview", "Unusable profiles", "A"): unusable,
    ("overview", "Notifications", "A"): waits,
    ("overview", "Notifications", "B"): dead,
    ("overview", "Notifications", "C"): by_phone_alone,
    ("overview", "Notifications", "D"): by_phone_alone,
    ("overview", "Without a usable credential", "A"): down,
    ("overview", "Serving now", "A"): serving,
    ("overview", "Heartbeat", "A"): at_most(1e9, 1e11),
    ("overview", "Silences", "A"): is_exactly(1),
    ("fleet", "Targets", "A"): is_exactly(17),
    ("fleet", "Targets", "B"): is_exactly(9),  # attic, cabin, cellar, empty, hut, loft, office, porch, shed
    ("fleet", "Targets", "C"): is_exactly(4),  # garage, home, local, mill
    ("fleet", "Watch", "A"): is_exactly(2),  # attic, cellar
    ("fleet", "Watch", "B"): is_exactly(1),
    ("fleet", "Watch", "C"): OLDEST,
    ("fleet", "By target and provider", "A"): states,
    ("fleet", "By target and provider", "B"): provider_deadlines,
    ("fleet", "Agents with a usable credential, by provider", "A"): by_label("provider", {"anthropic": 9 / 15}),
    ("fleet", "Failing checks", "A"): failing,
    ("fleet", "Slowest checks", "A"): slowest,
    ("fleet", "Quota windows", "A"): by_label(
        "where", {"rack7 · anthropic · 5h": 0.95, "rack7 · anthropic · Week": 0.4}
    ),
    ("fleet", "Quota windows", "B"): quota_resets,
    ("fleet", "Exporters", "A"): lambda a, s: is_close(
        pairs(a, "instance", "version"), {(name, __version__): 1 for name in ("all", "odd")}
    ),
    ("fleet", "Exporters", "B"): exporters(0, 1),
    ("fleet", "Exporters", "C"): exporters(1, 0),
    ("fleet", "Exporters", "D"): lambda a, s: is_close(pairs(a, "instance"), {"all": 5, "odd": 5}, 5),
    ("fleet", "OpenClaw releases", "A"): by_label("version", {"2026.9.6": 10, "2026.2.9": 2, "2026.6.11": 1}),
}

Series = dict[Any, list[float]]


def renewal(series: Series, stage: Stage) -> None:
    desk = series["desk", "anthropic:default"]
    leaps = [round(value, 1) for i, value in enumerate(desk) if i == 0 or abs(value - desk[i - 1]) > 0.5]
    assert leaps == [10.0, 5.0]
    assert series["garage", "anthropic:default"][-1] == pytest.approx(-2, abs=0.1)


def delivered(series: Series, stage: Stage) -> None:
    assert series.keys() == {"phone"}
    assert max(series["phone"]) >= 1


def last(expected: float) -> Callable[[Series, Stage], None]:
    def check(series: Series, stage: Stage) -> None:
        assert {key: values[-1] for key, values in series.items()} == {(): expected}

    return check


def at_least_one_each(*keys: Any) -> Callable[[Series, Stage], None]:
    def check(series: Series, stage: Stage) -> None:
        assert series.keys() == set(keys)
        assert min(max(values) for values in series.values()) >= 0.5

    return check


#: The same for every range query, with the labels that distinguish its series.
COURSES: dict[tuple[str, str, str], tuple[tuple[str, ...], Callable[[Series, Stage], None]]] = {
    ("overview", "Days left", "A"): (("target", "profile"), renewal),
    ("overview", "Notifications delivered and failed", "A"): (("channel",), delivered),
    ("overview", "Notifications delivered and failed", "B"): (("channel",), at_least_one_each("hook", "old")),
    ("fleet", "Targets by verdict", "A"): ((), last(9)),
    ("fleet", "Targets by verdict", "B"): ((), last(4)),
    ("fleet", "Targets by verdict", "C"): ((), last(4)),
    ("fleet", "Checks that failed, by reason", "A"): (
        ("reason",),
        at_least_one_each("invalid_output", "command_error"),
    ),
    ("fleet", "How long a check takes", "A"): ((), lambda series, stage: None),
    ("fleet", "How long a check takes", "B"): ((), lambda series, stage: None),
    ("fleet", "How long a check takes", "C"): ((), lambda series, stage: None),
    ("fleet", "Notifications that failed, by reason", "A"): (
        ("channel", "reason"),
        at_least_one_each(("hook", "http_error"), ("old", "http_error")),
    ),
}
