"""The configuration of targets: one model for each source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, SecretStr, Tag

from exporter.config.values import Agents, Command, Count, Duration, FilePath, Flag, TargetName, WithSecrets


class TargetBase(WithSecrets):
    name: TargetName = "local"
    interval: Duration | None = Field(None, ge=1, description="time between two checks; default: the global interval")
    timeout: Duration = Field(60.0, gt=0, le=3600)
    schedule: Flag = Field(True, description="false: checked only through /probe and check")


class OpenClawTarget(TargetBase):
    """The openclaw command: on this host, in a container, or over ssh."""

    source: Literal["openclaw"]
    command: Command = ["openclaw"]
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = Field(None, description="OPENCLAW_STATE_DIR for the command and the store")
    ssh: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")] | None = None


class StoreTarget(TargetBase):
    """The auth stores, read directly."""

    source: Literal["store"]
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class GatewayTarget(TargetBase):
    """A running gateway's admin RPC."""

    source: Literal["gateway"]
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:18789"
    token: SecretStr | None = None
    token_file: FilePath | None = None
    token_env: str | None = None
    agents: Agents = "all"
    state_dir: FilePath | None = Field(None, description="the gateway's store, if it is on this host")
    ca_file: FilePath | None = None
    usage: Flag = Field(False, description="also ask usage.status, hourly")


class ClaudeTarget(TargetBase):
    """Claude Code's own login."""

    #: The agent of its one login.
    AGENT: ClassVar[str] = "claude-code"

    source: Literal["claude"]
    command: Command = ["claude"]
    env_file: FilePath | None = None


class AutoTarget(TargetBase):
    """The command if it can be found, else the store, else Claude Code."""

    source: Literal["auto"] = "auto"
    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = None


class SimulatedTarget(TargetBase):
    """A simulated OpenClaw that ages, breaks and recovers (``demo``)."""

    source: Literal["simulated"]
    scenario: str = "healthy"
    profiles: Count = Field(1, ge=0, le=1_000_000, description="how many profiles the scenario is spread over")


def _source_of(value: object) -> str:
    source = value.get("source", "auto") if isinstance(value, dict) else getattr(value, "source", "auto")
    return source if isinstance(source, str) else "?"


Target = Annotated[
    Annotated[OpenClawTarget, Tag("openclaw")]
    | Annotated[StoreTarget, Tag("store")]
    | Annotated[GatewayTarget, Tag("gateway")]
    | Annotated[ClaudeTarget, Tag("claude")]
    | Annotated[AutoTarget, Tag("auto")]
    | Annotated[SimulatedTarget, Tag("simulated")],
    Discriminator(_source_of),
]
