"""The configuration, read from JSON5.

``models`` has its shape (``targets`` and ``channels`` have theirs), ``values`` the types of its keys. ``reading`` reads
a file, and ``mistakes`` turns a problem into a sentence. Other packages import from here what they use most.
"""

from exporter.config.channels import Channel, ChannelBase, QuietHours
from exporter.config.models import Alerts, Config, Policy, ProfilePolicy, ProviderPolicy, Tls, Web
from exporter.config.reading import default_config_file, load, parse, redacted, schema, unreadable_secrets, with_web
from exporter.config.targets import (
    DEFAULT_TARGET,
    AutoTarget,
    ClaudeTarget,
    GatewayTarget,
    OpenClawTarget,
    StoreTarget,
    Target,
)
from exporter.config.values import ConfigError, expand, find_credential
