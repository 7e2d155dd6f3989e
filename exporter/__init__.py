"""Monitors OpenClaw's model credentials: checks them, exports metrics, and notifies people before they fail."""

__version__ = "0.1.0"
