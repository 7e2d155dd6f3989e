"""Stores that are broken, locked, not ours, or written to while they are read."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from stores import MS, NOW, SECRET, Home, another_user, connect, keyed_hash, one, store_of, token, usage_of, write_cell

from exporter.config import StoreTarget
from exporter.model import CheckError, FailureReason, Unusable
from exporter.sources import SourceContext
from exporter.sources.store import files, reader
from exporter.sources.store.reader import StoreReader
from exporter.sources.store.source import StoreSource


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- what can be wrong ---


def test_missing_state_folder_is_an_error(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state_dir.rmdir()

    error = home.fails()

    assert error.reason is FailureReason.STORE_UNREADABLE
    assert error.message.startswith("there is no OpenClaw state directory")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (json.dumps({"profiles": {"a": token()}}).encode()[:-9], "is not JSON"),
        (b"\xff\xfe" + SECRET.encode(), "is not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "holds no auth store"),
        (b"null", "holds no auth store"),
        (b'{"profiles": []}', "holds no auth store"),
        (b'{"token": "' + SECRET.encode() + b'"}', "holds no auth store"),
        (b'"' + b"x" * 33 * 2**20 + b'"', "is larger than 32 MB"),
    ],
)
def test_json_that_is_not_a_store_is_an_error(home: Home, content: bytes, words: str) -> None:
    home.write_json({}).write_bytes(content)

    error = home.fails()

    assert error.reason is FailureReason.STORE_UNREADABLE
    assert words in error.message


def test_file_of_a_hundred_megabytes_is_not_read(home: Home) -> None:
    path = home.write_json({})
    os.truncate(path, 100 * 2**20)

    assert "is larger than 32 MB" in home.fails().message


@pytest.mark.parametrize("what", ["folder", "pipe"])
@pytest.mark.parametrize("name", ["auth-profiles.json", "openclaw-agent.sqlite", "shared"])
def test_folder_or_pipe_in_place_of_a_store_is_an_error(home: Home, what: str, name: str) -> None:
    path = home.shared if name == "shared" else home.paths().agent_dir / name
    path.parent.mkdir(parents=True)
    path.mkdir() if what == "folder" else os.mkfifo(path)

    error = home.fails()

    assert error.reason is FailureReason.STORE_UNREADABLE
    assert "is not a regular file" in error.message


def make_schema_unreadable(path: Path) -> None:
    """A byte that is not UTF-8, in a name that SQLite's message about the damaged schema quotes."""
    content = path.read_bytes()
    schema = b"CREATE TABLE auth_profile_store "
    assert schema in content
    path.write_bytes(content.replace(schema, b"CR\xffATE TABLE auth_profile_store "))


def make_damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"PLANTED" * 1000), "is not an SQLite database"),
        (lambda path: os.truncate(path, 4096), "is damaged or cut off"),
        (lambda path: os.truncate(path, 700), "is damaged or cut off"),
        (make_damaged, "is damaged or cut off"),
        (make_schema_unreadable, "is damaged or cut off"),
        (lambda path: os.truncate(path, 0), "has no table auth_profile_store"),
    ],
)
def test_file_that_is_not_a_database_is_an_error(home: Home, spoil: Any, words: str) -> None:
    spoil(home.write_local(store_of(a_b=token())))

    error = home.fails()

    assert error.reason is FailureReason.STORE_UNREADABLE
    assert words in error.message


@pytest.mark.parametrize("cell", ["{", "[]", SECRET, "[" * 200_000])
@pytest.mark.parametrize("where", ["local", "shared"])
def test_row_that_is_not_a_store_is_an_error(home: Home, where: str, cell: str) -> None:
    home.write_local(cell) if where == "local" else home.write_shared(cell)

    assert home.fails().reason is FailureReason.STORE_UNREADABLE


def test_oversized_row_is_an_error(home: Home) -> None:
    home.write_local(json.dumps({"profiles": {}, "x": "x" * 33 * 2**20}))

    assert "holds more than an auth store would" in home.fails().message


def test_view_in_place_of_the_table_is_not_run(home: Home) -> None:
    home.local().parent.mkdir(parents=True)
    with closing(connect(home.local())) as database:
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, x FROM n"
        database.execute(f"CREATE VIEW auth_profile_store (store_key, store_json) AS {endless}")

    assert "has no table auth_profile_store" in home.fails().message


def test_foreign_database_is_an_error(home: Home) -> None:
    with closing(connect(home.local())) as database:
        database.execute("CREATE TABLE books (title)")

    assert "has no table auth_profile_store" in home.fails().message


def test_locked_database_is_an_error(home: Home) -> None:
    path = home.write_local(store_of(a_b=token()))
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode=DELETE")
        owner.execute("PRAGMA cache_size=1")
        owner.execute("BEGIN EXCLUSIVE")
        for number in range(50):
            write_cell(owner, "auth_profile_store", f"row {number}", "x" * 4096)
        error = home.fails()

    assert error.reason is FailureReason.STORE_UNREADABLE
    assert "is locked by another program" in error.message


def test_exclusively_owned_database_is_read(home: Home) -> None:
    path = home.write_local(store_of(a_b=token()))
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("PRAGMA locking_mode=EXCLUSIVE")
        write_cell(owner, "auth_profile_store", "primary", store_of(a_c=token()))

        assert [profile.id for profile in home.read().profiles] == ["a:c"]


def test_database_that_keeps_changing_is_an_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_local(store_of(a_b=token()))
    select, times = files._select, iter(range(1000))

    def meddling(path: Path, *rest: Any) -> Any:
        found = select(path, *rest)
        os.utime(path, ns=(0, next(times)))
        return found

    monkeypatch.setattr(files, "_select", meddling)

    assert "changed while it was read" in home.fails().message


@pytest.fixture
def public_home() -> Iterator[Home]:
    """A home in a folder that everybody may search."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Home(Path(folder))


@pytest.mark.parametrize("layout", ["json", "local", "shared", "folder"])
def test_file_of_another_user_is_a_permission_error(layout: str, public_home: Home) -> None:
    home = public_home
    secret = {
        "json": lambda: home.write_json({"a:b": token()}),
        "local": lambda: home.write_local(store_of(a_b=token())),
        "shared": lambda: home.write_shared(store_of(a_b=token())),
        "folder": lambda: home.write_json({"a:b": token()}).parents[3],
    }[layout]()
    secret.chmod(0)
    try:
        with another_user():
            error = home.fails()
    finally:
        secret.chmod(0o700)

    assert error.reason is FailureReason.PERMISSION
    assert "this user may not" in error.message


# --- while OpenClaw writes ---


WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA wal_autocheckpoint=0")
database.execute("UPDATE auth_profile_store SET store_json = ?", (sys.argv[2],))
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE auth_profile_store SET store_json = '{}'")
print("ready", flush=True)
sys.stdin.readline()
database.execute("COMMIT")
print("committed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def writer(path: Path, store: object) -> Iterator[subprocess.Popen[str]]:
    """A process that has committed ``store`` to the WAL and holds a write transaction open."""
    arguments = [sys.executable, "-c", WRITER, str(path), json.dumps(store)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Names, times and contents: taken by another process, for opening a file here lets go of its locks."""
    code = (
        "import hashlib, os, sys\n"
        "for name in sorted(os.listdir(sys.argv[1])):\n"
        "    path = os.path.join(sys.argv[1], name); found = os.stat(path)\n"
        "    print(name, found.st_mtime_ns, found.st_size, hashlib.sha256(open(path, 'rb').read()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    found = {}
    for line in printed.stdout.splitlines():
        name, changed, size, digest = line.split()
        found[name] = (int(changed), int(size), digest)
    return found


def test_reading_beside_an_open_write_transaction_sees_what_is_committed_and_leaves_no_trace(home: Home) -> None:
    path = home.write_local(store_of(a_old=token()))
    with writer(path, store_of(a_new=token())) as process:
        before = snapshot(path.parent)

        facts = home.read()

        assert [profile.id for profile in facts.profiles] == ["a:new"]
        assert "openclaw-agent.sqlite-wal" in before
        assert snapshot(path.parent) == before
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "committed\n"  # nothing of ours is in its way


def test_credentials_and_state_come_from_one_snapshot(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.write_local({})
    plain_connect = sqlite3.connect
    with closing(plain_connect(path, isolation_level=None)) as openclaw:

        def write(expires: int, until: int) -> None:
            openclaw.execute("BEGIN IMMEDIATE")
            write_cell(openclaw, "auth_profile_store", "primary", store_of(a_b=token(expires=expires)))
            write_cell(openclaw, "auth_profile_state", "primary", usage_of("a:b", cooldownUntil=until))
            openclaw.execute("COMMIT")

        class Meddled(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                found = super().execute(sql, *values)
                if sql.startswith("SELECT store_json"):
                    write(MS + 2000, MS + 2000)
                return found

        write(MS + 1000, MS + 1000)
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: plain_connect(*args, **more, factory=Meddled))
        profile = one(home.read())

    assert profile.expires_at == NOW + 1
    assert profile.unusable == Unusable("cooldown", None, NOW + 1)


@pytest.mark.parametrize("has_shm", [True, False])
def test_wal_of_a_killed_writer_is_read_and_kept(home: Home, has_shm: bool) -> None:
    path = home.write_local(store_of(a_old=token()))
    with writer(path, store_of(a_new=token())):
        pass
    if not has_shm:
        path.with_name(path.name + "-shm").unlink()
    before = snapshot(path.parent)

    assert [profile.id for profile in home.read().profiles] == ["a:new"]
    assert snapshot(path.parent) == before


def test_closed_database_gets_no_files_beside_it(home: Home) -> None:
    path = home.write_local(store_of(a_b=token()))
    before = snapshot(path.parent)

    home.read()

    assert list(before) == ["openclaw-agent.sqlite"]
    assert snapshot(path.parent) == before


def test_store_in_a_read_only_folder_is_read(home: Home) -> None:
    path = home.write_local(store_of(a_b=token()))
    path.parent.chmod(0o555)
    try:
        assert len(home.read().profiles) == 1
    finally:
        path.parent.chmod(0o755)


def test_half_written_file_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.write_json({})
    path.write_text('{"profiles": {')

    def finish(_: float) -> None:
        home.write_json({"a:b": token()})

    monkeypatch.setattr("time.sleep", finish)

    assert len(home.read().profiles) == 1


def test_folder_of_agents_of_another_user_is_a_permission_error(public_home: Home) -> None:
    folder = public_home.write_json({"a:b": token()}).parents[2]
    folder.chmod(0)
    source = StoreSource(
        StoreTarget(source="store", state_dir=str(public_home.state_dir)), SourceContext(keyed_hash=keyed_hash)
    )
    try:
        with another_user(), pytest.raises(CheckError) as caught:
            source._agents()
    finally:
        folder.chmod(0o700)

    assert caught.value.reason is FailureReason.PERMISSION


def test_database_that_sqlite_may_not_open_is_a_permission_error(public_home: Home) -> None:
    """The WAL of another user: SQLite says only that it cannot open the database."""
    path = public_home.write_local(store_of(a_b=token()))
    with closing(connect(path)) as writer:
        write_cell(writer, "auth_profile_store", "primary", store_of(a_c=token()))
        wal = path.with_name(f"{path.name}-wal")
        assert wal.stat().st_size
        wal.chmod(0)
        with another_user():
            error = public_home.fails()

    assert error.reason is FailureReason.PERMISSION


def test_damage_anywhere_is_unreadable_or_harmless_and_never_another_error(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_RETRY_AFTER", 0.0)
    path = home.write_local(store_of(a_b=token()), usage_of("a:b", lastUsed=MS))
    content, chance = path.read_bytes(), random.Random(4)
    failures: list[FailureReason] = []
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 8)):  # mostly in the header and the schema
            damaged[chance.randrange(chance.choice((100, 1000, 4096, len(content))))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            home.read()
        except CheckError as error:
            failures.append(error.reason)
        StoreReader(keyed_hash).fingerprint([home.paths()])
    assert len(failures) > 50
    assert set(failures) == {FailureReason.STORE_UNREADABLE}
