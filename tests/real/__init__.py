"""Tests against the real parts: OpenClaw releases and Prometheus. ``install-parts.sh`` installs them."""
