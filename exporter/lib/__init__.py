"""Helpers without knowledge of OpenClaw: external commands, redaction, durations, the clock."""
