"""Counts the messages of a noisy month in a homelab, which ``tests/alerts/month.py`` describes.

Run by hand: ``python benchmarks/month.py``. Prints the messages per channel, those at night, and the lasting troubles.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from alerts import month


def main() -> None:
    for name, durations in (("short rate limits", month.SHORT), ("some of 25 minutes", month.LONG)):
        messages = month.run(durations)
        for channel in month.CHANNELS:
            sent = month.shown(messages, channel.name)
            print(f"{name}: {channel.name} {len(sent)} messages, {len(month.at_night(sent))} at night")
        notified = {
            (a.target, str(a.condition)) for m in month.shown(messages, "phone") for a in m.alerts if not a.reason.ends
        }
        print("  troubles on the phone: " + ", ".join(sorted(f"{target} {name}" for target, name in notified)))


if __name__ == "__main__":
    main()
