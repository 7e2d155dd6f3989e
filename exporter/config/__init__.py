"""The configuration, read from JSON5.

``models`` has its shape (``targets`` and ``channels`` have theirs), ``values`` the types of its keys. ``reading`` reads
a file, and ``mistakes`` turns a problem into a sentence.
"""

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
