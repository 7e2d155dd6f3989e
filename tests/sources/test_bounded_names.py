"""Names and numbers from outside are bounded where they enter, and reading them takes linear work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stores import Home

from exporter.lib import bounds, loose_json
from exporter.lib.known_secrets import KNOWN
from exporter.lib.redact import MAX_NAME, bounded_name, safe_name
from exporter.model import CheckError, FailureReason, Observation
from exporter.sources.gateway import answers
from exporter.sources.openclaw import roster, status

LONG = "anthropic:" + "x" * 1_000_000


def status_of(auth: dict[str, Any]) -> Observation:
    payload = {"auth": {"oauth": {"profiles": []}, **auth}}
    return status.observe(payload, target="home", agent="main", observed_at=0.0, exit_code=0)


def gateway_of(providers: list[Any]) -> Observation:
    return answers.observe({"providers": providers}, target="home", agent="main", observed_at=0.0)


def test_name_of_a_megabyte_is_its_beginning_and_a_hash() -> None:
    for shorten in (safe_name, bounded_name):
        shown = shorten(LONG)
        assert shown.startswith("anthropic:xxx")
        assert len(shown.encode()) < 400
        assert shown != shorten(LONG + "y")
        assert shown == shorten(LONG)


def test_name_of_four_kilobytes_stays() -> None:
    for name in ("x" * MAX_NAME, "ä" * (MAX_NAME // 2)):
        assert safe_name(name) == bounded_name(name) == name
        assert len(safe_name(name + "x").encode()) < 600


def test_secret_at_the_end_of_what_is_kept_of_a_name_is_redacted() -> None:
    KNOWN.add("hunter2pw")
    for at in range(240, 260):
        assert "hunte" not in safe_name("a" * at + "hunter2pw" + "b" * MAX_NAME)
        assert "hunte" not in safe_name("a" * at + "hunter2pw")
        assert "hunte" not in safe_name("a" * at + "hunter2pw" + "b" * 100)


def test_every_source_bounds_the_names_that_it_reads(tmp_path: Path) -> None:
    profile = {"profileId": LONG, "type": "token", "provider": LONG, "status": LONG, "reasonCode": LONG}
    seen = status_of(
        {
            "oauth": {"profiles": [profile], "providers": [{"provider": LONG, "effectiveProfiles": [profile]}]},
            "unusableProfiles": [{**profile, "kind": LONG, "reason": LONG}],
            "missingProvidersInUse": [LONG],
            "runtimeAuthRoutes": [{"provider": LONG, "authProvider": LONG + "2", "status": "unavailable"}],
        }
    )
    shown = gateway_of([{"provider": LONG, "profiles": [profile], "profileOrder": [LONG]}])
    home = Home(tmp_path)
    home.write_json({LONG: {"type": "token", "provider": LONG, "token": "x"}}, order={LONG: [LONG]})
    home.write_config({"agents": {"defaults": {"model": {"primary": f"{LONG}/{LONG}"}}}})
    for found in (
        seen,
        shown,
        home.read(),
        roster.listed([{"id": LONG, "model": LONG}]),
        answers.roster_of({"agents": [{"id": LONG, "model": {"primary": LONG}}]}),
    ):
        assert len(repr(found)) < 20_000


def test_million_profiles_are_refused_and_never_partly_read() -> None:
    many = bounds.MAX_LISTED + 1
    profiles = [{"profileId": "anthropic:a", "type": "token"}] * many
    for read in (
        lambda: status_of({"oauth": {"profiles": profiles}}),
        lambda: status_of({"unusableProfiles": profiles}),
        lambda: gateway_of([{"provider": "anthropic", "profiles": profiles}]),
        lambda: gateway_of([{}] * many),
        lambda: roster.listed([{"id": "a"}] * many),
        lambda: answers.roster_of({"agents": [{"id": "a"}] * many}),
    ):
        with pytest.raises(CheckError, match="at most 50,000 are read") as caught:
            read()
        assert caught.value.reason is FailureReason.INVALID_OUTPUT


def test_store_of_a_million_profiles_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_LISTED", 10)
    home = Home(tmp_path)
    home.write_json({f"anthropic:{n}": {"type": "token", "provider": "anthropic", "token": "x"} for n in range(11)})
    assert home.fails().reason is FailureReason.INVALID_OUTPUT


def test_whatever_source_it_is_its_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = status_of({"oauth": {"profiles": [{"profileId": f"a:{n}"} for n in range(11)]}})
    assert bounds.bounded(seen) is seen
    monkeypatch.setattr(bounds, "MAX_LISTED", 10)
    for answer in (seen, ["agent"] * 11):
        with pytest.raises(CheckError, match="at most 10 are read"):
            bounds.bounded(answer)


# --- linear work -----------------------------------------------------------------------------------


class Name(str):
    """A name that counts how often it is hashed or compared."""

    __slots__ = ()
    operations = 0

    def __hash__(self) -> int:
        Name.operations += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Name.operations += 1
        return super().__eq__(other)


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Counts what a call does with names."""

    def text(value: object) -> str | None:
        return Name(value) if isinstance(value, str) and value else None

    for module in (loose_json, status, answers):
        monkeypatch.setattr(module, "text", text)

    def count(call: Callable[[], object]) -> int:
        Name.operations = 0
        call()
        return Name.operations

    return count


def orders(n: int) -> object:
    providers = [{"provider": "p", "effectiveProfiles": [{"profileId": f"p:{i}"}]} for i in range(n)]
    return status_of({"oauth": {"providers": providers}})


def lenders(n: int) -> object:
    return status_of({"runtimeAuthRoutes": [{"provider": "p", "authProvider": f"lender{i}"} for i in range(n)]})


def variables(n: int) -> object:
    providers = [{"provider": f"p{i}", "env": {"source": f"env: KEY{i}"}} for i in range(n)]
    return status._environment_credentials({"providers": providers}, [Name(f"p{i}") for i in range(n)])


def unusable(n: int) -> object:
    return status_of({"unusableProfiles": [{"profileId": "p:a", "kind": "cooldown", "until": i} for i in range(n)]})


def aliases(n: int) -> object:
    return gateway_of(
        [{"provider": f"p{i}", "authProvider": "other", "profiles": [{"profileId": f"p{i}:a"}]} for i in range(n)]
    )


@pytest.mark.parametrize("work", [orders, lenders, variables, unusable, aliases], ids=lambda work: work.__name__)
def test_work_grows_with_the_number_of_entries(
    work: Callable[[int], object], operations: Callable[[Callable[[], object]], int]
) -> None:
    few, many = operations(lambda: work(100)), operations(lambda: work(400))
    assert few > 0
    assert many < 6 * few  # quadratic work would be 16 times as much
