"""A log record is one line, without control characters, secrets and the texts of exceptions and warnings."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from exporter.lib.known_secrets import KNOWN
from exporter.lib.logs import (
    MAX_MESSAGE,
    JsonFormatter,
    SafeFormatter,
    TimedFormatter,
    formatter,
    is_journal,
    kind_and_place,
    trace_of,
)

#: Looks like no secret, is unknown, and is in no source line below.
PLANTED = "-".join(["planted", "horse"])
HOSTILE = "evil\r\nCRITICAL home/main: exit code 1\x1b]0;title\x07\x1b[2K\u202e\u2028\x85\x9b31m\x00end"


def shown(msg: object, *args: object, name: str = "exporter.x", error: BaseException | None = None) -> str:
    info: Any = (type(error), error, error.__traceback__) if error is not None else None
    return SafeFormatter().format(logging.LogRecord(name, logging.ERROR, "f", 1, msg, args, info))


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("name", ["exporter.daemon", "apscheduler.scheduler", "uvicorn.error", "asyncio"])
def test_no_text_forges_a_line_or_reaches_a_terminal(name: str) -> None:
    for line in (
        shown("%s: no", HOSTILE, name=name),
        shown(HOSTILE, name=name),
        shown("%(a)s", {"a": HOSTILE}, name=name),
    ):
        assert line.startswith("ERROR ")
        assert line.isprintable()
        assert "evil" in line


def test_characters_are_escaped_and_ordinary_ones_stay() -> None:
    assert shown("%s is läßt 漢 😀", "a\r\nb\x1b[31m\ud800") == r"ERROR a\r\nb\x1b[31m\ud800 is läßt 漢 😀"


def test_known_secrets_are_redacted_in_messages() -> None:
    KNOWN.add("hunter2pw")
    assert shown("pw %s", "hunter2pw") == "ERROR pw <redacted>"


def test_an_exception_is_its_kind_and_place() -> None:
    try:
        try:
            raise KeyError(PLANTED)
        except KeyError as error:
            raise ValueError(PLANTED) from error
    except ValueError as error:
        line = shown("it failed", error=error)
    assert PLANTED not in line
    assert line.startswith("ERROR it failed [ValueError at test_logs.py:")
    assert "; caused by KeyError at test_logs.py:" in line
    assert kind_and_place(OSError(2, PLANTED)) == "OSError: No such file or directory".replace(
        "OSError", "FileNotFoundError"
    )


def test_the_way_of_an_exception_is_shown_and_bounded() -> None:
    def inner(depth: int) -> None:
        if depth:
            inner(depth - 1)
        raise ValueError

    with pytest.raises(ValueError, match=r"\A\Z") as caught:
        inner(1)
    assert "in inner < test_logs.py" in trace_of(caught.value)
    with pytest.raises(ValueError, match=r"\A\Z") as caught:
        inner(300)
    assert len(trace_of(caught.value)) < 1000


@pytest.mark.parametrize("name", ["apscheduler.executors.default", "asyncio", "uvicorn.error", "concurrent.futures"])
def test_a_library_logs_no_text_of_an_exception(name: str) -> None:
    error = raised(RuntimeError(f"no {PLANTED}"))
    lines = [
        shown("Job raised: %s", error, name=name),
        shown("Job raised: %r", error, name=name),
        shown(error, name=name),
        shown(f"future: exception={error!r}", name=name, error=error),
        shown(f"failed: {error}", name=name, error=error),
        shown(f"Exception in ASGI application\nTraceback\n  RuntimeError: {error}", name=name, error=error),
    ]
    assert [line for line in lines if PLANTED in line] == []
    assert all("RuntimeError" in line or "Job raised" in line for line in lines)


def test_arguments_that_do_not_fit_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    class Unshowable:
        def __str__(self) -> str:
            raise ValueError(PLANTED)

    assert shown("%d of %d", PLANTED) == "ERROR %d of %d (without its arguments)"
    assert shown("%s", Unshowable()) == "ERROR %s (without its arguments)"


def test_a_line_is_bounded() -> None:
    assert len(shown("%s", "a" * 26_000_000)) < MAX_MESSAGE + 20


def record_at(moment: float, msg: str, *args: object) -> logging.LogRecord:
    record = logging.LogRecord("exporter.x", logging.WARNING, "f", 1, msg, args, None)
    record.created = moment
    return record


def test_json_is_one_safe_object_a_line() -> None:
    KNOWN.add("hunter2pw")
    line = JsonFormatter().format(record_at(1795939200.5, "%s hunter2pw", HOSTILE))
    assert "\n" not in line
    fields = json.loads(line)
    assert {**fields, "msg": ""} == {
        "time": "2026-11-29T08:00:00.500Z",
        "level": "warning",
        "logger": "exporter.x",
        "msg": "",
    }
    assert fields["msg"].endswith("<redacted>")
    assert fields["msg"].isprintable()


def test_text_has_a_time_unless_the_journal_adds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert type(formatter("text", writing)) is SafeFormatter
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")  # inherited by what logs to a file
        assert type(formatter("text", writing)) is TimedFormatter
        assert type(formatter("json", writing)) is JsonFormatter
    finally:
        os.close(reading)
        os.close(writing)
    assert not is_journal(writing)
    assert TimedFormatter().format(record_at(1795939200.0, "went")) == "2026-11-29T08:00:00.000Z WARNING went"


SCRIPT = """
import asyncio, gc, logging, sys, threading, warnings
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from exporter.cli.runtime import LogOptions, log_to_stderr
from exporter.lib import logs

logs.install()
log_to_stderr(LogOptions())
planted = "-".join(["planted", "horse"])

def fail(*_):
    raise RuntimeError(planted)

class Fails:
    def __del__(self):
        fail()

async def work():
    scheduler = AsyncIOScheduler()
    ran = asyncio.Event()
    async def job():
        ran.set()
        fail()
    scheduler.add_job(job)
    scheduler.add_job(fail)
    scheduler.start()
    await ran.wait()
    asyncio.get_running_loop().call_soon(fail, planted)
    async def task():
        fail()
    asyncio.ensure_future(task())
    for _ in range(9):
        await asyncio.sleep(0)
    gc.collect()
    scheduler.shutdown(wait=False)

asyncio.run(work())
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Fails()
warnings.warn(planted, RuntimeWarning)
logging.getLogger("uvicorn.error").error("%d", planted)
fail()
"""


def test_nothing_that_python_or_a_library_prints_quotes_an_exception() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert "planted-horse" not in ran.stdout + ran.stderr
    timed = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.*)", line) for line in ran.stderr.splitlines()]
    assert None not in timed, ran.stderr
    lines = [line[1] for line in timed if line]
    assert [line for line in lines if not line.startswith(("ERROR ", "WARNING "))] == []
    for what in (
        'ERROR apscheduler.executors.default: Job "work.<locals>.job',
        'ERROR apscheduler.executors.default: Job "fail',
        "ERROR asyncio: Exception in callback fail [RuntimeError at <string>",
        "ERROR asyncio: Task exception was never retrieved [RuntimeError at <string>",
        "ERROR Internal error in a thread (RuntimeError at <string>",
        "WARNING Internal error that nobody handles (RuntimeError at <string>",
        "WARNING RuntimeWarning at <string>",
        "ERROR uvicorn.error: %d (without its arguments)",
        "ERROR Internal error (RuntimeError at <string>",
    ):
        assert [line for line in lines if line.startswith(what)], (what, lines)
