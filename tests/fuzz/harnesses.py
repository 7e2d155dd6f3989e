"""One harness for each parser of data from outside: bytes in, and any error that the parser does not promise out.

``test_corpus.py`` replays the corpus through them; ``run.py`` lets atheris look for new inputs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "web")]  # for their helpers, also without pytest

from captured import verdict
from fake_daemon import TOKEN, FakeDaemon, web
from stores import NOW, Home

from exporter.config import ConfigError, parse
from exporter.lib.env_file import parse_env_file
from exporter.lib.known_secrets import KNOWN
from exporter.lib.loose_json import mapping
from exporter.lib.loose_json import parse as parse_json
from exporter.lib.redact import safe_name, safe_text
from exporter.metrics.render import one_shot
from exporter.model import CheckError, Observation, Report, TargetReport
from exporter.present import explain, to_json, to_line, to_nagios, to_table
from exporter.sources.claude import stored_login
from exporter.sources.gateway import answers
from exporter.sources.openclaw import roster, status
from exporter.sources.store.environment import environment
from exporter.sources.store.files import parse_json as parse_store
from exporter.web import door
from exporter.web.app import create_app
from exporter.web.server import WebServer

CORPUS = Path(__file__).parent / "corpus"
Harness = Callable[[bytes], None]


def shown(seen: Observation) -> None:
    """Everything that is made of an observation. What people read is printable."""
    report = Report(seen.observed_at, (TargetReport("home", seen.source, (verdict(seen),)),))
    texts = [to_line(report), to_nagios(report)[0], *to_table(report).split("\n"), *explain(report).split("\n")]
    assert all(map(str.isprintable, texts))
    json.dumps(to_json(report), ensure_ascii=False).encode()
    one_shot(report)


def status_json(data: bytes) -> None:
    """What ``openclaw models status --json`` prints."""
    try:
        payload = status.extract_json(data)
        seen = status.observe(payload, target="home", agent="main", observed_at=NOW, exit_code=0)
        shown(status.with_other_uses(seen, payload))
    except CheckError:
        pass


def agents_json(data: bytes) -> None:
    """What ``openclaw agents list --json`` prints."""
    try:
        for value in status.json_values(data, "[{"):
            for agent in roster.listed(value):
                assert agent.id
    except CheckError:
        pass


def gateway_json(data: bytes) -> None:
    """A gateway's answers, all three of them from the same bytes."""
    try:
        payload = mapping(parse_json(data))
    except (ValueError, RecursionError):
        return
    for read in (
        lambda: shown(answers.only_in_use(_gateway(payload), payload)),
        lambda: answers.roster_of(payload),
        lambda: answers.usage_of(payload),
    ):
        with contextlib.suppress(CheckError):
            read()


def _gateway(payload: object) -> Observation:
    return answers.observe(mapping(payload), target="home", agent="main", observed_at=NOW)


_home: list[Home] = []


def home() -> Home:
    """A folder for the files of a store."""
    if not _home:
        root = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108 - only where it is faster
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        _home.append(Home(root))
        _home[0].local().parent.mkdir(parents=True)
    return _home[0]


def read_store(path: Path, data: bytes) -> None:
    """Read the store in which only the file at ``path`` is from outside."""
    path.write_bytes(data)
    try:
        home().read()
    except CheckError as error:
        message = error.message
    else:
        message = ""
    finally:
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
    assert message.isprintable(), message


def store_json(data: bytes) -> None:
    """``auth-profiles.json``."""
    read_store(home().local().with_name("auth-profiles.json"), data)


def store_sqlite(data: bytes) -> None:
    """An agent's SQLite file, with any schema."""
    read_store(home().local(), data)


def openclaw_config(data: bytes) -> None:
    """``openclaw.json``, JSON or JSON5, with all that it decides about a store that is fine."""
    store = home().local().with_name("auth-profiles.json")
    store.write_text('{"profiles": {"anthropic:a": {"type": "token", "provider": "anthropic", "token": "${A_KEY}"}}}')
    read_store(home().state_dir / "openclaw.json", data)


def own_config(data: bytes) -> None:
    """Our own configuration, JSON5."""
    try:
        parse(data.decode("utf-8", "replace"))
    except ConfigError as error:
        problems = error.problems
    else:
        problems = []
    assert all(map(str.isprintable, problems)), problems


def claude_credentials(data: bytes) -> None:
    """Claude Code's credentials file."""
    with contextlib.suppress(ValueError, RecursionError):
        stored_login(data)


def environment_file(data: bytes) -> None:
    """An environment file, and what it means for a configuration with templates."""
    variables = parse_env_file(data.decode("utf-8", "surrogateescape"))
    config = {"env": {"A": "${B}", "vars": {"C": "${A}${D}"}, **dict.fromkeys(variables, "${A}")}}
    environment(config, variables, None)


def store_text(data: bytes) -> None:
    """A text of the store's database."""
    with contextlib.suppress(CheckError):
        parse_store(data, Path("file"))


def foreign_text(data: bytes) -> None:
    """Any text of another program, on its way to a page or a name."""
    text = data.decode("utf-16", "surrogatepass") if len(data) % 4 == 2 else data.decode("utf-8", "surrogateescape")
    one = safe_text(text)
    assert one.isprintable()
    assert len(one) <= 200
    safe_name(text).encode()


# --- HTTP ------------------------------------------------------------------------------------------


class _Server:
    """Our server on a loop that runs only during a request."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.server = WebServer(create_app(FakeDaemon(), web(token=TOKEN)), [("127.0.0.1", 0)])
        self.loop.run_until_complete(self.server.start())
        self.errors: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.errors.append(record.getMessage())  # type: ignore[method-assign]  # a list
        logging.getLogger().addHandler(handler)

    async def talk(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.server.addresses[0])
        try:
            writer.write(data)
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), 30)
        except (ConnectionResetError, BrokenPipeError):
            return b""
        finally:
            writer.close()


_server: list[_Server] = []


def http_request(data: bytes) -> None:
    """Bytes on a connection to our server: an answer or a closed connection, and no internal error."""
    if not _server:
        _server.append(_Server())
    server = _server[0]
    with patch.object(door, "PIPELINE_PAUSE", 0.0):  # many requests in one input would take many seconds
        answer = server.loop.run_until_complete(server.talk(data))
    assert answer == b"" or answer.startswith(b"HTTP/1."), answer[:100]
    assert b" 500 " not in answer.partition(b"\r\n")[0] or b"target=bug" in data, answer
    assert not server.errors or b"target=bug" in data, server.errors


HARNESSES: dict[str, Harness] = {
    harness.__name__: harness
    for harness in (
        status_json,
        agents_json,
        gateway_json,
        store_json,
        store_sqlite,
        openclaw_config,
        own_config,
        claude_credentials,
        environment_file,
        store_text,
        foreign_text,
        http_request,
    )
}


def replay(name: str) -> int:
    """Run a harness on its whole corpus. Returns the number of inputs."""
    inputs = sorted((CORPUS / name).iterdir())
    for path in inputs:
        HARNESSES[name](path.read_bytes())
        KNOWN.clear()
    return len(inputs)
