"""The configuration of targets: one model for each source, and where lists of more targets are."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from exporter.config.values import (
    Agents,
    Command,
    Count,
    Duration,
    FilePath,
    Flag,
    Labels,
    Lazily,
    TargetName,
    WithSecrets,
    WithToken,
    regular_expression,
)

#: The name of a target that has none in the configuration, so that many hosts have a target of this name.
DEFAULT_TARGET = "local"


class TargetBase(WithSecrets):
    name: TargetName = DEFAULT_TARGET
    interval: Duration | None = Field(None, ge=1, description="time between two checks; default: the global interval")
    timeout: Duration = Field(60.0, gt=0, le=3600)
    schedule: Flag = Field(True, description="false: checked only through /probe and check")
    labels: Labels = Field({}, description="like owner or team")


class HostTarget(TargetBase):
    """The OpenClaw of one host, with its folder and its environment."""

    agents: Agents = "all"
    env_file: FilePath | None = None
    state_dir: FilePath | None = Field(None, description="OPENCLAW_STATE_DIR for the command and the store")


class OpenClawTarget(HostTarget):
    """The openclaw command: on this host, in a container, or over ssh."""

    source: Literal["openclaw"]
    command: Command = ["openclaw"]
    ssh: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")] | None = None


class StoreTarget(HostTarget):
    """The auth stores, read directly."""

    source: Literal["store"]


class GatewayTarget(WithToken, TargetBase):
    """A running gateway's admin RPC."""

    source: Literal["gateway"]
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:18789"
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


class AutoTarget(HostTarget):
    """The command if it can be found, else the store, else Claude Code."""

    source: Literal["auto"] = "auto"


class SimulatedTarget(TargetBase):
    """A simulated OpenClaw that ages, breaks and recovers (``demo``)."""

    source: Literal["simulated"]
    scenario: str = "healthy"
    profiles: Count = Field(1, ge=0, le=1_000_000, description="how many profiles the scenario is spread over")


_MODELS: dict[object, type[TargetBase]] = {
    "openclaw": OpenClawTarget,
    "store": StoreTarget,
    "gateway": GatewayTarget,
    "claude": ClaudeTarget,
    "auto": AutoTarget,
    "simulated": SimulatedTarget,
}


def _with_source(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    """The target of a value. Only the model of its source is built, unless there is a mistake to describe."""
    if not isinstance(value, dict):
        return handler(value)
    value = {"source": "auto", **value}
    source = value["source"]
    model = _MODELS.get(source) if isinstance(source, str) else None
    if model is not None:
        with suppress(ValidationError):
            return model.model_validate(value, context=info.context)
    return handler(value)


_Any = OpenClawTarget | StoreTarget | GatewayTarget | ClaudeTarget | AutoTarget | SimulatedTarget
Target = Annotated[_Any, Lazily(Annotated[_Any, Field(discriminator="source")]), WrapValidator(_with_source)]


class ListDefaults(WithToken):
    """What every target of a list has; `{name}` in ``token_file`` is the target's name."""

    source: Literal["gateway"] = Field("gateway", description="only gateways can be listed")
    url_match: Annotated[str, AfterValidator(regular_expression)] | None = Field(
        None, description="a regular expression that the whole url of a target must match"
    )
    agents: Agents = "all"
    interval: Duration | None = Field(None, ge=1)
    timeout: Duration = Field(60.0, gt=0, le=3600)
    schedule: Flag = True
    labels: Labels = {}
    ca_file: FilePath | None = None
    usage: Flag = False


class ListBase(WithSecrets):
    """Where lists of targets are."""

    defaults: ListDefaults = ListDefaults.model_construct()


class FileLists(ListBase):
    """Lists in files of Prometheus' file_sd format."""

    type: Literal["file"]
    paths: Annotated[list[FilePath], Field(min_length=1, description="files; the last part may be a pattern")]

    @field_validator("paths")
    @classmethod
    def _patterns(cls, values: list[str]) -> list[str]:
        for value in values:
            if any(sign in value.rpartition("/")[0] for sign in "*?["):
                raise ValueError(f'{value}: only the last part may be a pattern, like "targets.d/*.json"')
        return values


class HttpList(WithToken, ListBase):
    """A list at a URL of Prometheus' http_sd format."""

    type: Literal["http"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    refresh_interval: Duration = Field(60.0, ge=1)
    ca_file: FilePath | None = None

    @field_validator("url")
    @classmethod
    def _secure(cls, value: str) -> str:
        from exporter.lib.addresses import is_loopback  # only for such a list

        if not value.startswith("https://") and not is_loopback(value):
            raise ValueError("write an https url: on the way, others could change a list without TLS")
        return value


TargetsFrom = Annotated[FileLists | HttpList, Field(discriminator="type")]
