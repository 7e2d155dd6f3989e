"""openclaw-auth-exporter: watches OpenClaw's model credentials and tells before they fail."""

__version__ = "0.1.0"
