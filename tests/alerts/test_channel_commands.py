"""The channels that are commands: OpenClaw's own, and Termux'."""
