"""An observation and a credential history with something in every field."""

from __future__ import annotations

from exporter.model import Dialect, Observation, ObservedProfile, Purpose, Unusable, UsageWindow, Use
from exporter.state.history import CredentialChange, CredentialHistory, CredentialRecord

NOW = 1_795_346_770.0
PROFILE = ObservedProfile(
    "anthropic:default", "anthropic", "token", "ok", None, NOW + 5, None, False, "h", Unusable("cooldown", "auth", NOW)
)
OBSERVATION = Observation(
    "home",
    "main",
    "openclaw",
    Dialect.ROUTES,
    NOW,
    (PROFILE,),
    ("anthropic",),
    (Use("anthropic/claude-opus-5", Purpose.CHAT),),
    {"anthropic": ("anthropic:default",)},
    frozenset({"openai"}),
    usage=(UsageWindow("anthropic", "5h", 0.5, NOW),),
)
HISTORY = CredentialHistory(
    profiles={
        "anthropic:default": CredentialRecord("anthropic:default", "anthropic", "token", NOW, NOW, "h", NOW + 5, None)
    },
    since={"expired|anthropic|anthropic:default": NOW},
    serving={"anthropic": "token"},
    changed={"anthropic": CredentialChange("api_key", "token", NOW)},
    latest=NOW,
)
