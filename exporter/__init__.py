"""openclaw-auth-exporter: watches OpenClaw's model credentials and tells before they fail."""
