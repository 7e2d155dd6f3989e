"""Lists of targets are read when they change, and the last good version of each stays while a new one is bad."""

from __future__ import annotations

import http.server
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.config import Config, load
from exporter.config.target_lists import FILE, TargetLists


def write(path: Path, *names: str) -> None:
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}")
    new.write_text(json.dumps([{"name": name, "url": f"http://{name}:18789"} for name in names]))
    new.replace(path)


def configured(directory: Path, *paths: str, **rest: object) -> Config:
    defaults = {"token_file": "tokens/{name}"}
    file = directory / "config.json5"
    lists = [{"type": "file", "paths": list(paths), "defaults": defaults}]
    file.write_text(json.dumps({"targets_from": lists, **rest}))
    return load(file)


def names(config: Config | None) -> list[str] | None:
    return None if config is None else [target.name for target in config.targets]


def test_paths_and_secrets_are_beside_the_configuration(tmp_path: Path) -> None:
    write(tmp_path / "targets.d/a.json", "rack1")
    config = TargetLists(None).apply(configured(tmp_path, "targets.d/*.json"))
    assert [getattr(target, "token_file", None) for target in config.targets] == [str(tmp_path / "tokens/rack1")]


def test_added_changed_and_removed_files_count_from_the_next_poll(tmp_path: Path) -> None:
    config = configured(tmp_path, "targets.d/*.json", targets=[{"name": "home"}])
    write(tmp_path / "targets.d/a.json", "rack1")
    lists = TargetLists(None)
    assert names(lists.apply(config)) == ["home", "rack1"]
    assert lists.poll(config) is None
    write(tmp_path / "targets.d/b.json", "rack2")
    assert names(lists.poll(config)) == ["home", "rack1", "rack2"]
    write(tmp_path / "targets.d/a.json", "rack3", "rack4")
    assert names(lists.poll(config)) == ["home", "rack3", "rack4", "rack2"]
    (tmp_path / "targets.d/b.json").unlink()
    assert names(lists.poll(config)) == ["home", "rack3", "rack4"]
    assert lists.problems == []


def test_bad_list_keeps_its_last_good_version_and_no_other_list_back(tmp_path: Path) -> None:
    config = configured(tmp_path, "targets.d/*.json")
    a, b = tmp_path / "targets.d/a.json", tmp_path / "targets.d/b.json"
    write(a, "rack1")
    write(b, "rack2")
    lists = TargetLists(None)
    lists.apply(config)
    a.write_text('[{"name": "half')
    write(b, "rack3")
    assert names(lists.poll(config)) == ["rack1", "rack3"]
    (problem,) = lists.problems
    assert problem.startswith(f"targets_from[0]: {a}: is not JSON5: line 1")
    assert problem.endswith(": its last good version stays (1 target)")
    assert lists.poll(config) is None
    write(a, "rack4")
    assert names(lists.poll(config)) == ["rack4", "rack3"]
    assert lists.problems == []


def test_list_that_was_never_good_is_no_change_at_each_reading(tmp_path: Path) -> None:
    config = configured(tmp_path, "targets.d/*.json")
    (tmp_path / "targets.d").mkdir()
    lists = TargetLists(None)
    for number in range(3):
        (tmp_path / "targets.d/a.json").write_text("{" * number)
        assert names(lists.poll(config)) == ([] if number == 0 else None)
        assert len(lists.problems) == 1


def test_restart_while_a_list_is_bad_keeps_its_targets(tmp_path: Path) -> None:
    config, state = configured(tmp_path, "a.json"), tmp_path / "state"
    write(tmp_path / "a.json", "rack1")
    TargetLists(state).apply(config)
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    for damaged in ("[", None):
        if damaged is None:
            (tmp_path / "a.json").unlink()
        else:
            (tmp_path / "a.json").write_text(damaged)
        again = TargetLists(state)
        assert names(again.apply(config)) == ["rack1"]
        assert again.unknown == [] != again.problems


def test_last_good_version_obeys_the_url_match_of_today(tmp_path: Path) -> None:
    config, state = configured(tmp_path, "a.json"), tmp_path / "state"
    write(tmp_path / "a.json", "rack1")
    TargetLists(state).apply(config)
    (entry,) = config.targets_from
    stricter = entry.model_copy(update={"defaults": entry.defaults.model_copy(update={"url_match": "https://.*"})})
    lists = TargetLists(state)
    assert names(lists.apply(config.model_copy(update={"targets_from": [stricter]}))) == []
    assert lists.unknown != []


def test_directory_that_is_not_there_keeps_what_it_held(tmp_path: Path) -> None:
    config, state = configured(tmp_path, "targets.d/*.json"), tmp_path / "state"
    write(tmp_path / "targets.d/a.json", "rack1")
    lists = TargetLists(state)
    lists.apply(config)
    (tmp_path / "targets.d").rename(tmp_path / "away")
    assert lists.poll(config) is None
    assert any("no such file or directory: what it held last stays" in problem for problem in lists.problems)
    assert names(TargetLists(state).apply(config)) == ["rack1"]
    (tmp_path / "targets.d").mkdir()
    assert names(lists.poll(config)) == []


def test_problems_stay_while_the_lists_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon asks for them from its loop while a thread reads, perhaps from a mount that hangs."""
    config = configured(tmp_path, "away.d/*.json", "a.json", "here.d/*.json", targets=[{"name": "rack1"}])
    write(tmp_path / "a.json", "rack1")
    (tmp_path / "here.d").mkdir()
    lists = TargetLists(None)
    lists.apply(config)
    problems, seen = lists.problems, []
    assert len(problems) == 2
    listdir = os.listdir

    def listing(path: str) -> list[str]:
        seen.append(lists.problems)
        return listdir(path)

    monkeypatch.setattr("exporter.config.target_lists.os.listdir", listing)
    lists.apply(config)
    assert seen == [problems, problems]
    assert lists.problems == problems


def test_name_that_is_taken_is_left_out(tmp_path: Path) -> None:
    config = configured(tmp_path, "a.json", "b.json", targets=[{"name": "rack1"}])
    write(tmp_path / "a.json", "rack1", "rack2")
    write(tmp_path / "b.json", "rack2", "rack3")
    lists = TargetLists(None)
    assert names(lists.apply(config)) == ["rack1", "rack2", "rack3"]
    assert [getattr(target, "source", "") for target in lists.apply(config).targets] == ["auto", "gateway", "gateway"]
    assert len(lists.problems) == 2


def test_state_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.json", "rack1")
    (tmp_path / "state").write_text("no directory")
    assert names(TargetLists(tmp_path / "state").apply(configured(tmp_path, "a.json"))) == ["rack1"]


def test_nothing_is_written_for_those_who_only_read(tmp_path: Path) -> None:
    write(tmp_path / "a.json", "rack1")
    TargetLists(tmp_path / "state", keeps=False).apply(configured(tmp_path, "a.json"))
    assert not os.path.exists(tmp_path / "state")


class _Server(http.server.BaseHTTPRequestHandler):
    answer = (200, b"[]")
    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Server]]]:
    handler = type("Handler", (_Server,), {"asked": []})
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}/sd", handler
    served.shutdown()
    served.server_close()
    thread.join()


def test_list_at_a_url_is_requested_at_its_interval(tmp_path: Path, server: tuple[str, type[_Server]]) -> None:
    url, handler = server
    entry = {"type": "http", "url": url, "refresh_interval": "1m", "token": "the-token-of-the-list"}
    config = Config.model_validate({"targets_from": [entry]})
    handler.answer = (200, b'[{"targets": ["http://10.0.0.1:18789"], "labels": {"name": "rack1"}}]')
    now = 1000.0
    lists = TargetLists(tmp_path, lambda: now)
    assert names(lists.apply(config)) == ["rack1"]
    assert lists.poll(config) is None
    assert handler.asked == ["Bearer the-token-of-the-list"]
    for answer in ((503, b""), (200, b"<html>"), (302, b"")):
        handler.answer, now = answer, now + 60
        assert lists.poll(config) is None
        assert "its last good version stays (1 target)" in lists.problems[0]
        assert url not in lists.problems[0]
    assert names(TargetLists(tmp_path).apply(config)) == ["rack1"]  # after a restart
    handler.answer, now = (200, b"[]"), now + 60
    assert names(lists.poll(config)) == []
    handler.answer = (200, b'[{"targets": ["http://10.0.0.1:18789"]}]')
    assert lists.poll(config) is None
    assert names(lists.apply(config)) == ["10.0.0.1-18789"]  # a reload requests it at once
