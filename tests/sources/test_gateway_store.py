"""A store on the same host adds to what a gateway answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_gateway import NOW, Gateway, source, with_payload

# --- the store on the same host ------------------------------------------------------------------------------


def _store(folder: Path, **usage: Any) -> None:
    """A store as releases to 2026.5 keep it, with the profile that the payload below has."""
    agent = folder / "agents/main/agent"
    agent.mkdir(parents=True)
    profile = {"type": "token", "provider": "anthropic", "token": "PLANTED-SECRET-sk", "expires": 1_803_000_000_000}
    (agent / "auth-profiles.json").write_text(
        json.dumps({"version": 1, "profiles": {"anthropic:default": profile}, "usageStats": usage})
    )
    models = {"defaults": {"model": "anthropic/claude-opus-5", "imageModel": {"primary": "xai/grok-image"}}}
    (folder / "openclaw.json").write_text(json.dumps({"agents": models}))


STATUS = {
    "providers": [
        {
            "provider": "anthropic",
            "profiles": [
                {
                    "profileId": "anthropic:default",
                    "type": "token",
                    "status": "ok",
                    "expiry": {"at": 1_803_000_000_000},
                }
            ],
        }
    ]
}


async def test_store_adds_what_the_gateway_omits(tmp_path: Path) -> None:
    until = int((NOW + 600) * 1000)
    _store(tmp_path, **{"anthropic:default": {"disabledUntil": until, "disabledReason": "billing"}})
    seen = await source(Gateway(models_authStatus=with_payload(STATUS)), state_dir=str(tmp_path)).check("main")
    assert seen.blind_to == frozenset()
    unusable = seen.profiles[0].unusable
    assert unusable is not None
    assert (unusable.kind, unusable.reason, unusable.until) == ("disabled", "billing", NOW + 600)
    assert seen.providers_in_use == ("anthropic", "xai")
    assert seen.models_in_use == ("anthropic/claude-opus-5", "xai/grok-image")
    assert "PLANTED-SECRET" not in repr(seen)


async def test_unreadable_store_beside_a_gateway_is_a_note(tmp_path: Path) -> None:
    seen = await source(Gateway(models_authStatus=with_payload(STATUS)), state_dir=str(tmp_path / "none")).check("main")
    assert seen.blind_to == {"unusable", "uses"}
    assert len(seen.profiles) == 1
    assert any("the store could not be read" in note for note in seen.notes)
