"""The fingerprint of a store: what changes it, what does not, and what it costs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from stores import DAY, MS, NOW, SECRET, Home, another_user, keyed_hash, store_of, token, usage_of

from exporter.sources import Fingerprint
from exporter.sources.store.reader import StoreReader


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def watched(home: Home) -> Home:
    home.write_shared(store_of(a_b=token(expires=MS + DAY)), usage_of("a:b", lastUsed=MS))
    home.write_local(store_of(), usage_of("a:b", lastUsed=MS))
    home.write_config({"agents": {"defaults": {"model": "anthropic/x"}}, "meta": {"lastTouchedAt": "x"}})
    (home.state_dir / ".env").write_text(f"ANTHROPIC_API_KEY={SECRET}\n")
    return home


def test_missing_store_has_no_fingerprint(tmp_path: Path) -> None:
    assert StoreReader(keyed_hash).fingerprint([Home(tmp_path).paths()]) is None
    assert StoreReader(keyed_hash).fingerprint([]) is None


def test_fingerprint_contains_no_secret_and_is_the_same_for_every_reader(watched: Home) -> None:
    hashed: list[str] = []

    def recording(text: str) -> str:
        hashed.append(text)
        return keyed_hash(text)

    first = StoreReader(recording).fingerprint([watched.paths()])
    second = StoreReader(keyed_hash).fingerprint([watched.paths()])

    assert first == second is not None
    assert any(SECRET in text or SECRET.encode().hex() in text for text in hashed)
    assert SECRET not in str(first)


@pytest.mark.parametrize(
    "touch",
    [
        lambda home: home.write_shared(state=usage_of("a:b", lastUsed=MS + 5, errorCount=3, lastProbeAt=1)),
        lambda home: home.write_shared(state={"usageStats": {"a:c": {"lastUsed": 3}}, "lastGood": {"a": "a:b"}}),
        lambda home: home.write_local(store_of(), usage_of("a:b", lastUsed=MS + 5, failureCounts={"auth": 1})),
        lambda home: home.write_config({"meta": 3, "agents": {"defaults": {"model": "anthropic/x"}}, "logging": {}}),
        lambda home: os.utime(home.shared),
        lambda home: (home.state_dir / "state" / "openclaw.sqlite-wal").touch(),
    ],
)
def test_use_of_a_profile_keeps_the_fingerprint(watched: Home, touch: Any) -> None:
    reader = StoreReader(keyed_hash)
    before = reader.fingerprint([watched.paths()])

    touch(watched)

    assert reader.fingerprint([watched.paths()]) == before
    assert StoreReader(keyed_hash).fingerprint([watched.paths()]) == before


@pytest.mark.parametrize(
    "touch",
    [
        lambda home: home.write_shared(store_of(a_b=token(expires=MS + DAY + 1))),
        lambda home: home.write_shared(store_of(a_b=token(token="another", expires=MS + DAY))),
        lambda home: home.write_shared(store_of()),
        lambda home: home.write_shared(owner="legacy-main"),
        lambda home: home.write_shared(state=usage_of("a:b", cooldownUntil=MS)),
        lambda home: home.write_shared(state=usage_of("a:b", blockedUntil=MS)),
        lambda home: home.write_shared(state={"order": {"anthropic": ["a:b"]}}),
        lambda home: home.write_local(store_of(a_c=token())),
        lambda home: home.write_local(store_of(), usage_of("a:b", disabledReason="billing")),
        lambda home: home.write_config({"agents": {"defaults": {"model": "openai/x"}}}),
        lambda home: home.write_config("{agents: {defaults: {model: 'anthropic/x'}}}"),
        lambda home: (home.state_dir / ".env").write_text("ANTHROPIC_API_KEY=x"),
        lambda home: (home.state_dir / ".env").unlink(),
        lambda home: home.write_json({}),
        lambda home: home.local().unlink(),
    ],
)
def test_relevant_change_changes_the_fingerprint(watched: Home, touch: Any) -> None:
    reader = StoreReader(keyed_hash)
    before = reader.fingerprint([watched.paths()])

    touch(watched)

    after = reader.fingerprint([watched.paths()])
    assert after not in (before, None)
    assert StoreReader(keyed_hash).fingerprint([watched.paths()]) == after


def test_unchanged_store_is_not_read_again(watched: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [path for path in watched.state_dir.rglob("*") if path.is_file()]:
        os.utime(path, (NOW - 1e6, NOW - 1e6))
    reader = StoreReader(keyed_hash)
    before = reader.fingerprint([watched.paths()])

    def refuse(*_: object) -> None:
        raise AssertionError("an untouched file was read")

    monkeypatch.setattr("exporter.sources.store.reader._matter", refuse)

    assert reader.fingerprint([watched.paths()]) == before


def test_unreadable_store_is_a_change_but_half_a_file_is_not(watched: Home) -> None:
    reader = StoreReader(keyed_hash)
    content = watched.local().read_bytes()
    before = reader.fingerprint([watched.paths()])
    watched.local().write_bytes(b"half")

    doubting = reader.fingerprint([watched.paths()])
    broken = [reader.fingerprint([watched.paths()]) for _ in range(2)]
    watched.local().write_bytes(content)

    assert doubting == before
    assert broken[0] == broken[1] not in (before, None)
    assert broken[0] is not None
    assert not broken[0].is_complete  # what is in it may change unseen
    assert reader.fingerprint([watched.paths()]) == before


def test_fingerprint_is_independent_of_the_order_of_agents(watched: Home) -> None:
    watched.write_local(store_of(a_x=token()), None, "work")
    paths = [watched.paths("main"), watched.paths("work")]
    reader = StoreReader(keyed_hash)

    both = reader.fingerprint(paths)

    assert both == reader.fingerprint(paths[::-1]) != reader.fingerprint(paths[:1])


def test_state_without_relevant_facts_equals_no_state() -> None:
    """What a gateway's first use writes is no news of the credential."""
    from exporter.sources.store.facts import what_matters

    assert what_matters({"version": 1, "usageStats": {"anthropic:default": {"lastUsed": 5, "errorCount": 0}}}) is None
    assert what_matters(None) is None
    assert what_matters({"usageStats": {"anthropic:default": {"cooldownUntil": 5}}}) is not None


def test_store_that_may_no_longer_be_read_is_noticed_and_that_it_may_again() -> None:
    reader = StoreReader(keyed_hash)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # another user has to get there
        home = Home(Path(folder))
        path = home.write_json({"a:b": token()})
        os.utime(path, (NOW - 1e6, NOW - 1e6))  # so that it is not read again just because it is new

        def fingerprint() -> Fingerprint | None:
            with another_user():
                return [reader.fingerprint([home.paths()]) for _ in range(2)][-1]

        before = fingerprint()
        path.chmod(0)
        denied = fingerprint()
        path.chmod(0o644)
        after = fingerprint()

    assert before == after != denied
    assert [found and found.is_complete for found in (before, denied, after)] == [True, False, True]
