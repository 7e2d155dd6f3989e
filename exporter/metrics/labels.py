"""Label values: cleaned, shortened, escaped as prometheus_client does, and unique per profile."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from exporter.metrics.definitions import StaticRegistry
from exporter.model import AgentReport

#: The longest label value, in characters. A longer text becomes a prefix and a hash.
MAX_LABEL = 128
# prometheus_client escapes newlines, quotes and backslashes.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _with_suffix(text: str, suffix: str) -> str:
    return f"{text[: MAX_LABEL - len(suffix) - 1]}-{suffix}"


def label_value(text: str, identity: str | None = None) -> str:
    """``text`` as a label value: valid UTF-8 without control characters, at most MAX_LABEL characters.

    A changed text ends in a hash of ``identity`` (default: the text itself), so that two different
    texts stay different.
    """
    if len(text) <= MAX_LABEL and not _UNSAFE.search(text):
        return text
    clean = _UNSAFE.sub("\ufffd", text[:MAX_LABEL])
    return _with_suffix(clean, _short_hash(text if identity is None else identity))


def profile_labels(agent: AgentReport) -> tuple[tuple[str, str], ...]:
    """The labels (provider, profile) of each profile of an agent. No two are the same.

    If profiles would share a label (one alias for two), each of them ends in a hash of its id.
    """
    wanted = [(label_value(p.provider), label_value(p.label, p.id)) for p in agent.profiles]
    shared = {labels for labels, count in Counter(wanted).items() if count > 1}
    taken = set(wanted) - shared
    result = []
    for (provider, label), profile in zip(wanted, agent.profiles, strict=True):
        chosen = label
        if (provider, label) in shared:
            suffix = _short_hash(profile.id)
            chosen, attempt = _with_suffix(label, suffix), 1
            while (provider, chosen) in taken:
                attempt += 1
                chosen = _with_suffix(label, f"{suffix}-{attempt}")
            taken.add((provider, chosen))
        result.append((provider, chosen))
    return tuple(result)


@functools.lru_cache(maxsize=32768)
def escaped(value: str) -> str:
    """A label value as prometheus_client writes it between the quotes."""
    family = GaugeMetricFamily("v", "", labels=["v"])
    family.add_metric([value], 1.0)
    line = generate_latest(StaticRegistry(family)).decode().split("\n", 2)[2]
    return line[len('v{v="') : -len('"} 1.0\n')]
