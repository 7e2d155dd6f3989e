"""The configuration, read from JSON5.

``models`` has its shape (``targets`` and ``channels`` have theirs), ``values`` the types of its keys. ``reading`` reads
a file, and ``mistakes`` turns a problem into a sentence.
"""

from exporter.config.channels import Channel as Channel
from exporter.config.channels import ChannelBase as ChannelBase
from exporter.config.channels import QuietHours as QuietHours
from exporter.config.models import Alerts as Alerts
from exporter.config.models import Config as Config
from exporter.config.models import Policy as Policy
from exporter.config.models import ProfilePolicy as ProfilePolicy
from exporter.config.models import Tls as Tls
from exporter.config.models import Web as Web
from exporter.config.reading import default_config_file as default_config_file
from exporter.config.reading import default_state_dir as default_state_dir
from exporter.config.reading import load as load
from exporter.config.reading import parse as parse
from exporter.config.reading import redacted as redacted
from exporter.config.reading import schema as schema
from exporter.config.reading import unreadable_secrets as unreadable_secrets
from exporter.config.targets import AutoTarget as AutoTarget
from exporter.config.targets import ClaudeTarget as ClaudeTarget
from exporter.config.targets import GatewayTarget as GatewayTarget
from exporter.config.targets import OpenClawTarget as OpenClawTarget
from exporter.config.targets import SimulatedTarget as SimulatedTarget
from exporter.config.targets import StoreTarget as StoreTarget
from exporter.config.targets import Target as Target
from exporter.config.targets import TargetBase as TargetBase
from exporter.config.values import ConfigError as ConfigError
from exporter.config.values import expand as expand
from exporter.config.values import find_credential as find_credential
