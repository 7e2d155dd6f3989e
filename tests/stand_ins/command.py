"""A stand-in for the ``openclaw`` command: it reads a World from a file and prints what OpenClaw would.

Usage: ``python tests/stand_ins --world FILE.json openclaw models status --json --check``. Every start
reads the file again, so a test can change the World between checks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from exporter.model import Dialect, FailureReason
from exporter.simulator.status import status_json
from exporter.simulator.world import Fault, World

VERSIONS = {
    Dialect.DATES: "2026.1.29",
    Dialect.STATUS: "2026.2.9",
    Dialect.LISTING: "OpenClaw 2026.6.11 (e085fa1)",
    Dialect.ROUTES: "OpenClaw 2026.9.6 (eb377ac)",
}
#: The fault that makes the command fail with each reason.
_AS_FAULT = {
    FailureReason.TIMEOUT: (Fault.HANG, 3600.0),
    FailureReason.KILLED: (Fault.SIGNAL, float(signal.SIGKILL)),
    FailureReason.INVALID_OUTPUT: (Fault.GARBAGE, 1.0),
}
_USAGE = "usage: python tests/stand_ins --world FILE.json [--now SECONDS] openclaw ARGUMENT...\n"
_LOG_LINE = b"\x1b[33m[plugins]\x1b[0m codex: native module {not} found, [continuing] without it\n"
_SLEEPER = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(float(sys.argv[1]))"


def main(argv: list[str], stdout: BinaryIO, stderr: BinaryIO) -> int:
    """Run the stand-in with ``argv`` and return its exit code: 64 for wrong usage or an unreadable World."""
    options: dict[str, str] = {}
    rest = list(argv)
    while len(rest) >= 2 and rest[0] in ("--world", "--now"):
        options[rest[0]] = rest[1]
        del rest[:2]
    if "--world" not in options or not rest or Path(rest[0]).name != "openclaw":
        stderr.write(_USAGE.encode())
        return 64
    try:
        world = World.load(Path(options["--world"]))
        now = float(options.get("--now") or time.time())
    except (OSError, ValueError) as error:
        stderr.write(f"the simulated world cannot be read: {error}\n".encode())
        return 64
    return _openclaw(world, now, rest[1:], stdout, stderr)


def _openclaw(world: World, now: float, args: list[str], stdout: BinaryIO, stderr: BinaryIO) -> int:
    if args == ["--version"]:
        stdout.write(f"{VERSIONS[world.dialect]}\n".encode())
        return 0
    faults = dict(world.faults)
    if world.broken in _AS_FAULT:
        fault, amount = _AS_FAULT[world.broken]
        faults.setdefault(fault, amount)
    elif world.broken is not None and world.broken is not FailureReason.UNKNOWN_AGENT:
        faults.setdefault(Fault.COMMAND_ERROR, 1)
    agent = args[args.index("--agent") + 1] if "--agent" in args[:-1] else None

    stdout.write(_LOG_LINE * int(faults.get(Fault.LOG_BEFORE, 0)))
    stdout.flush()
    if Fault.GRANDCHILD in faults:
        # It inherits our standard output and keeps it open after our end.
        subprocess.Popen([sys.executable, "-c", _SLEEPER, str(faults[Fault.GRANDCHILD])])
    if Fault.HANG in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(faults[Fault.HANG])
    if Fault.SIGNAL in faults:
        os.kill(os.getpid(), int(faults[Fault.SIGNAL]))

    if Fault.COMMAND_ERROR in faults:
        return _error(world, "The configuration file is not valid.", stdout, stderr)
    if args[:2] == ["models", "status"]:
        unknown = agent is not None and agent not in world.agents
        if unknown or world.broken is FailureReason.UNKNOWN_AGENT:
            message = (
                f'Unknown agent id "{agent or world.agents[0]}". Use "openclaw agents list" to see configured agents.'
            )
            return _error(world, message, stdout, stderr)
        payload, exit_code = status_json(world, now, agent=agent)
        _write_with(faults, json.dumps(payload, indent=2, ensure_ascii=False).encode() + b"\n", stdout)
        return exit_code if "--check" in args else 0
    if args[:2] == ["agents", "list"]:
        text = json.dumps([_agent(world, agent) for agent in world.agents], indent=2, ensure_ascii=False)
        _write_with(faults, text.encode() + b"\n", stdout)
        return 0
    return _error(world, f"unknown command '{' '.join(args[:2])}'", stdout, stderr)


def _agent(world: World, agent: str) -> dict[str, object]:
    return {
        "id": agent,
        "workspace": f"{world.home}/.openclaw/workspace",
        "agentDir": f"{world.home}/.openclaw/agents/{agent}/agent",
        "model": world.model,
        "bindings": 0,
        "isDefault": agent == world.agents[0],
    }


def _error(world: World, message: str, stdout: BinaryIO, stderr: BinaryIO) -> int:
    """Print a command error as each release does; exit code 1, like an expired credential."""
    if world.dialect is Dialect.STATUS:
        stderr.write(f"Error: {message}\n".encode())
        return 1
    head = "Could not start the CLI."
    if world.dialect is Dialect.ROUTES:
        head = "The CLI command failed."
        answer = {"ok": False, "error": {"type": "cli_error", "message": message}}
        stdout.write(json.dumps(answer, indent=2).encode() + b"\n")
    stderr.write(
        f"[openclaw] {head}\n[openclaw] Reason: {message}\n"
        "[openclaw] Debug: set OPENCLAW_DEBUG=1 to include the stack trace.\n"
        "[openclaw] Try: openclaw doctor\n[openclaw] Help: openclaw --help\n".encode()
    )
    return 1


def _write_with(faults: dict[Fault, float], answer: bytes, stdout: BinaryIO) -> None:
    if Fault.EMPTY in faults:
        answer = b""
    elif Fault.GARBAGE in faults:
        answer = b"Segmentation fault? {{{ this is no JSON ]\n"
    elif Fault.DEEP in faults:
        answer = b"[" * int(faults[Fault.DEEP])
    elif Fault.NOT_UTF8 in faults:
        answer = answer.decode().encode("utf-16")
    elif Fault.CUT_OFF in faults:
        answer = answer[: int(faults[Fault.CUT_OFF])]
    if Fault.HUGE in faults:
        block, left = b"x" * 65536, int(faults[Fault.HUGE])
        while left > 0:
            left -= stdout.write(block[:left])
    stdout.write(answer)
    stdout.write(_LOG_LINE * int(faults.get(Fault.LOG_AFTER, 0)))
