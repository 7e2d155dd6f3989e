"""What a source reads of secrets is known from then on: no text repeats it, whatever it looks like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.lib.env_file import parse_env_file
from exporter.lib.known_secrets import REDACTED
from exporter.lib.redact import safe_text
from exporter.sources.claude import stored_login
from exporter.sources.store.paths import StorePaths
from exporter.sources.store.reader import StoreReader


@pytest.mark.parametrize("name", ["token", "key", "access", "refresh"])
def test_secrets_of_the_store_and_its_configuration_are_known(tmp_path: Path, name: str) -> None:
    agent = tmp_path / ".openclaw/agents/main/agent"
    agent.mkdir(parents=True)
    credential = {"type": "token", "provider": "anthropic", name: "hunter2pw"}
    (agent / "auth-profiles.json").write_text(json.dumps({"profiles": {"anthropic:hunter2pw": credential}}))
    (tmp_path / ".openclaw/openclaw.json").write_text(
        json.dumps(
            {"gateway": {"auth": {"token": "gate2way"}}, "models": {"providers": {"x": {"apiKey": "NAME_OF_IT"}}}}
        )
    )
    (tmp_path / ".openclaw/.env").write_text("ACME_API_KEY=acme3key\n")
    paths = StorePaths.from_environment({"HOME": str(tmp_path)}, None, "main")
    facts = StoreReader(lambda text: "0" * 32).read(paths, "main")
    assert "hunter2pw" not in repr(facts)
    assert safe_text("hunter2pw gate2way acme3key NAME_OF_IT") == " ".join([*[REDACTED] * 3, "NAME_OF_IT"])


def test_secrets_of_claude_code_and_of_a_service_are_known() -> None:
    stored_login(b'{"claudeAiOauth": {"accessToken": "hunter2pw", "refreshToken": "hunter3pw"}}')
    parse_env_file("export GATEWAY_PASSWORD='hunter4pw'\nHOME=/home/me")
    assert safe_text("hunter2pw hunter3pw hunter4pw /home/me") == f"{REDACTED} {REDACTED} {REDACTED} /home/me"
