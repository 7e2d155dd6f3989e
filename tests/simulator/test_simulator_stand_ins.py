"""The stand-ins of the simulator: a process that behaves like the command, an application like the gateway."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stand_ins import COMMAND
from stand_ins.command import main
from stand_ins.gateway import gateway_json
from stand_ins.server import gateway_app

from exporter.model import Dialect, FailureReason
from exporter.simulator import Fault, Profile, World, status_json

GATEWAY = Path(__file__).parents[1] / "captures" / "gateway-2026.9.6"
NOW, HOUR = 1_795_000_000.0, 3600.0


def _one(expires: float | None = 720 * HOUR) -> World:
    world = World()
    world.add(Profile("anthropic:default", "anthropic", "token", None if expires is None else NOW + expires))
    return world


# --- the stand-in for the command ---------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "world.json"


def run(world: World, file: Path, *args: str) -> tuple[int, bytes, bytes]:
    world.save(file)
    stdout, stderr = io.BytesIO(), io.BytesIO()
    code = main(["--world", str(file), "--now", str(NOW), "openclaw", *args], stdout, stderr)
    return code, stdout.getvalue(), stderr.getvalue()


CHECK = ("models", "status", "--json", "--check")


def test_command_prints_the_output_of_openclaw(file: Path) -> None:
    world = _one(expires=12 * HOUR)
    world.agents.append("work")
    code, stdout, stderr = run(world, file, *CHECK)
    assert (code, json.loads(stdout), stderr) == (2, status_json(world, NOW)[0], b"")
    code, stdout, _ = run(world, file, *CHECK, "--agent", "work")
    assert (code, json.loads(stdout)["agentId"]) == (2, "work")
    assert run(world, file, "models", "status", "--json")[0] == 0
    code, stdout, _ = run(world, file, "agents", "list", "--json")
    assert [(agent["id"], agent["isDefault"]) for agent in json.loads(stdout)] == [("main", True), ("work", False)]


@pytest.mark.parametrize(
    ("dialect", "version"),
    [
        (Dialect.STATUS, b"2026.2.9\n"),
        (Dialect.LISTING, b"OpenClaw 2026.6.11 (e085fa1)\n"),
        (Dialect.ROUTES, b"OpenClaw 2026.9.6 (eb377ac)\n"),
    ],
)
def test_command_prints_errors_like_its_release(dialect: Dialect, version: bytes, file: Path) -> None:
    world = World(dialect=dialect)
    assert run(world, file, "--version") == (0, version, b"")
    message = 'Unknown agent id "nope". Use "openclaw agents list" to see configured agents.'
    code, stdout, stderr = run(world, file, *CHECK, "--agent", "nope")
    assert code == 1
    assert message in stderr.decode()
    if dialect is Dialect.ROUTES:
        assert json.loads(stdout) == {"ok": False, "error": {"type": "cli_error", "message": message}}
    else:
        assert stdout == b""


def test_command_injects_faults(file: Path) -> None:
    def with_fault(fault: Fault, amount: float = 1) -> tuple[int, bytes]:
        world = _one()
        world.inject(fault, amount)
        return run(world, file, *CHECK)[:2]

    whole = run(_one(), file, *CHECK)[1]
    assert with_fault(Fault.EMPTY) == (0, b"")
    assert with_fault(Fault.CUT_OFF, 100) == (0, whole[:100])
    assert with_fault(Fault.DEEP, 200_000) == (0, b"[" * 200_000)
    assert len(with_fault(Fault.HUGE, 1_000_000)[1]) == 1_000_000 + len(whole)
    before = with_fault(Fault.LOG_BEFORE, 2)[1]
    assert before.endswith(whole)
    assert before.count(b"\x1b[33m") == 2
    assert with_fault(Fault.LOG_AFTER)[1].startswith(whole)
    with pytest.raises(UnicodeDecodeError):
        with_fault(Fault.NOT_UTF8)[1].decode()
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(with_fault(Fault.GARBAGE)[1])
    assert with_fault(Fault.COMMAND_ERROR)[0] == 1


@pytest.mark.parametrize("reason", [FailureReason.COMMAND_ERROR, FailureReason.PERMISSION, FailureReason.UNKNOWN_AGENT])
def test_command_fails_with_the_reason_of_a_broken_check(reason: FailureReason, file: Path) -> None:
    world = _one()
    world.break_check(reason)
    code, stdout, _ = run(world, file, *CHECK)
    assert (code, json.loads(stdout)["ok"]) == (1, False)
    assert ("Unknown agent" in stdout.decode()) is (reason is FailureReason.UNKNOWN_AGENT)


def test_wrong_usage_of_the_command_is_an_error(file: Path) -> None:
    stderr = io.BytesIO()
    assert main(["openclaw"], io.BytesIO(), stderr) == 64
    assert stderr.getvalue().startswith(b"usage:")
    assert main(["--world", str(file), "openclaw"], io.BytesIO(), stderr) == 64
    file.write_text("{")
    assert main(["--world", str(file), "openclaw"], io.BytesIO(), stderr) == 64


@pytest.fixture
def process(file: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[bytes]] = []

    def start(world: World) -> subprocess.Popen[bytes]:
        world.save(file)
        command = [*COMMAND, "--world", str(file), "openclaw", *CHECK]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True))
        return started[-1]

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()


def ignored_by(child: Any) -> int:
    """The mask of signals that a process ignores."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.partition("SigIgn:")[2].split()[0], 16)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc to see what is ignored")
def test_process_hangs_and_ignores_sigterm(process: Any) -> None:
    world = World(faults={Fault.HANG: 600, Fault.LOG_BEFORE: 1})
    child = process(world)
    assert child.stdout.readline().startswith(b"\x1b[33m")
    for _ in range(3000):
        if ignored_by(child) & 1 << (signal.SIGTERM - 1):
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)


def test_process_dies_by_a_signal(process: Any) -> None:
    world = World()
    world.break_check(FailureReason.KILLED)
    assert process(world).wait(30) == -signal.SIGKILL


def test_process_leaves_a_grandchild_that_holds_the_pipe(process: Any) -> None:
    world = _one(expires=None)
    world.inject(Fault.GRANDCHILD, 600)
    child = process(world)
    assert child.wait(30) == 0
    answer = os.read(child.stdout.fileno(), 1 << 20)
    assert json.loads(answer)["auth"]["missingProvidersInUse"] == []
    assert select.select([child.stdout], [], [], 0.2)[0] == []  # nothing more, and no end of file
    os.killpg(child.pid, signal.SIGKILL)
    assert os.read(child.stdout.fileno(), 1) == b""


# --- the gateway --------------------------------------------------------------------------------------------

TOKEN = "gateway-token-of-32-characters-or-more"


async def ask(world: World, method: str, token: str = TOKEN, **params: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=gateway_app(world, TOKEN, now=lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        body = {"id": "1", "method": method, "params": params}
        return await client.post("/api/v1/admin/rpc", json=body, headers={"authorization": f"Bearer {token}"})


async def test_gateway_answers_with_the_real_status_codes_and_bodies() -> None:
    real, world = json.loads((GATEWAY / "_other_responses.json").read_text()), World()
    for name, answer in {
        "wrong_token": await ask(world, "health", token="wrong"),
        "unknown_agent": await ask(world, "models.authStatus", agentId="nope"),
        "method_not_allowed": await ask(world, "sessions.delete"),
    }.items():
        assert (answer.status_code, answer.json()) == (real[name]["status"], real[name]["body"])
    for name, method in {"agents_list": "agents.list", "health": "health", "usage_status": "usage.status"}.items():
        answer = await ask(world, method)
        expected = real[name]["body"]["payload"]
        assert answer.status_code == 200
        assert set(answer.json()["payload"]) <= set(expected)
    (agent,) = (await ask(world, "agents.list")).json()["payload"]["agents"]
    assert agent["model"] == {"primary": "anthropic/claude-opus-5"}

    world.inject(Fault.NOT_READY)
    not_ready = json.loads((GATEWAY / "_not_ready.json").read_text())
    answer = await ask(world, "models.authStatus")
    payload = not_ready["body"]["payload"] | {"ts": round(NOW * 1000)}
    assert (answer.status_code, answer.json()) == (200, not_ready["body"] | {"payload": payload})


async def test_gateway_injects_faults() -> None:
    world = _one()
    assert (await ask(world, "models.authStatus", agentId="main")).json()["payload"] == gateway_json(world, NOW)
    for fault, status in [
        (Fault.NOT_ENABLED, 404),
        (Fault.UNAUTHORIZED, 401),
        (Fault.UNAVAILABLE, 503),
        (Fault.REDIRECT, 302),
        (Fault.HTML, 200),
        (Fault.SLOW, 200),
    ]:
        world.faults = {fault: 0.001}
        answer = await ask(world, "models.authStatus")
        assert (fault, answer.status_code) == (fault, status)
    world.faults = {Fault.UNAVAILABLE: 1.5}
    error = (await ask(world, "models.authStatus")).json()["error"]
    assert (error["code"], error["retryAfterMs"]) == ("UNAVAILABLE", 1500)
    world.faults = {}
    world.break_check(FailureReason.NOT_ENABLED)
    assert (await ask(world, "models.authStatus")).status_code == 404
    world.break_check(FailureReason.NOT_READY)
    assert (await ask(world, "models.authStatus")).json()["payload"]["providers"] == []


async def test_gateway_probes_need_no_token() -> None:
    world = World()
    transport = httpx.ASGITransport(app=gateway_app(world, TOKEN))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.get("/healthz")).json() == {"ok": True, "status": "live"}
        assert (await client.get("/readyz")).status_code == 200
        world.inject(Fault.UNAVAILABLE)
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/api/v1/admin/rpc")).status_code == 401
        bad = await client.post("/api/v1/admin/rpc", content=b"{", headers={"authorization": f"Bearer {TOKEN}"})
        assert (bad.status_code, bad.json()["error"]["type"]) == (400, "invalid_request")
