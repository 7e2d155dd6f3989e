"""Secrets in real stores and in the environment: no eight characters of one leave them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import httpx
import pytest

from .conftest import MakeHome, Serve
from .parts import CURRENT, RELEASES, TOKEN_PREFIX, Exporter

pytestmark = pytest.mark.real

HOUR_MS = 3_600_000
RUN = 8  # OpenClaw masks a secret as its first eight characters, dots, and its last eight


def body(name: str) -> str:
    """Return the secret part of a token: unique, and as long as a real one."""
    return "PLANTEDSECRET" + hashlib.sha512(name.encode()).hexdigest()[:80]


BODIES = {name: body(name) for name in ("token", "access", "refresh", "key", "environment")}
RUNS = {text[at : at + RUN].encode(): name for name, text in BODIES.items() for at in range(len(text) - RUN + 1)}


def leaks(output: bytes) -> set[str]:
    """Return the secrets of which eight consecutive characters are in ``output``."""
    return {name for run, name in RUNS.items() if run in output}


@pytest.mark.parametrize("release", RELEASES)
def test_no_part_of_a_secret_leaks(openclaw: MakeHome, serve: Serve, tmp_path: Path, release: str) -> None:
    world = openclaw(release)
    world.paste_token("anthropic:default", "12h", token=TOKEN_PREFIX + BODIES["token"])
    world.write_store(
        {
            **world.stored_profiles(),
            "anthropic:login": {
                "type": "oauth",
                "provider": "anthropic",
                "access": BODIES["access"],
                "refresh": BODIES["refresh"],
                "expires": int(time.time() * 1000) - HOUR_MS,
            },
            "openai:default": {"type": "api_key", "provider": "openai", "key": BODIES["key"]},
        }
    )
    world.env["ANTHROPIC_API_KEY"] = BODIES["environment"]
    # The search works: it finds the masked secrets in OpenClaw's own output.
    shown = world.run("models", "status", "--json", check=False).stdout
    assert {"token", "key", "environment"} <= leaks(shown.encode())

    outputs: dict[str, bytes] = {}
    exporter = Exporter(world, tmp_path / "one-shot")
    styles = (["check"], ["check", "--line"], ["check", "--nagios"]) if release == CURRENT else ()
    for arguments in (["check", "--json"], ["explain"], *styles):
        finished = exporter.run(*arguments)
        assert finished.returncode in (0, 1, 2), finished.stderr
        outputs[" ".join(arguments)] = (finished.stdout + finished.stderr).encode()
    assert b"anthropic:login" in outputs["explain"]

    daemon = serve(world)
    daemon.wait_for_check()
    for path in ("/metrics", "/api/v1/status", "/api/v1/status?format=line", "/", "/sd", "/probe?target=home"):
        answer = httpx.get(f"{daemon.url}{path}", trust_env=False)
        assert answer.status_code == 200, path
        outputs[path] = answer.content + str(answer.headers).encode()
    assert b"anthropic:login" in outputs["/metrics"]
    daemon.stop()
    for file in tmp_path.rglob("*"):
        if file.is_file() and world.home not in file.parents:
            outputs[str(file.relative_to(tmp_path))] = file.read_bytes()
    assert any(name.startswith("exporter/state/") for name in outputs)
    assert any(name.startswith("one-shot/state/") for name in outputs)

    assert {name: found for name, output in outputs.items() if (found := leaks(output))} == {}
