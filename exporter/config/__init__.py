"""The configuration: ``models`` is its shape (``targets`` and ``channels`` those parts', ``values`` what they are made
of), ``reading`` makes one from JSON5, ``mistakes`` says what is wrong."""

from exporter.config.channels import Channel, ChannelBase, QuietHours
from exporter.config.models import Alerts, Config, Policy, ProfilePolicy, Tls, Web
from exporter.config.reading import (
    default_config_file,
    default_state_dir,
    load,
    parse,
    redacted,
    schema,
    unreadable_secrets,
)
from exporter.config.targets import (
    AutoTarget,
    ClaudeTarget,
    GatewayTarget,
    OpenClawTarget,
    SimulatedTarget,
    StoreTarget,
    Target,
    TargetBase,
)
from exporter.config.values import ConfigError, expand, find_credential

__all__ = [
    "Alerts",
    "AutoTarget",
    "Channel",
    "ChannelBase",
    "ClaudeTarget",
    "Config",
    "ConfigError",
    "GatewayTarget",
    "OpenClawTarget",
    "Policy",
    "ProfilePolicy",
    "QuietHours",
    "SimulatedTarget",
    "StoreTarget",
    "Target",
    "TargetBase",
    "Tls",
    "Web",
    "default_config_file",
    "default_state_dir",
    "expand",
    "find_credential",
    "load",
    "parse",
    "redacted",
    "schema",
    "unreadable_secrets",
]
