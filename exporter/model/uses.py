"""What an agent's models are used for: every model that the configuration names has a purpose."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


class Purpose(enum.StrEnum):
    """What a model is used for, the most important first.

    ``words`` name it for people. ``is_chat``: people wait for its answers, so trouble is critical.
    ``is_examined``: OpenClaw's own ``models status`` examines the models of this purpose.
    """

    words: str
    is_chat: bool
    is_examined: bool
    rank: int

    def __new__(cls, value: str, words: str = "", is_chat: bool = False, is_examined: bool = False) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.words, member.is_chat, member.is_examined = words, is_chat, is_examined
        member.rank = len(cls.__members__)
        return member

    CHAT = "chat", "chat", True, True  # the default model and its fallbacks
    CHANNEL = "channel", "channel", True  # a channel's own model
    HEARTBEAT = "heartbeat", "the heartbeat"
    CRON_JOB = "cron_job", "cron job"
    SUB_AGENTS = "sub_agents", "sub-agents"
    HOOK = "hook", "hook"
    IMAGES = "images", "images", False, True
    PDF_FILES = "pdf_files", "PDF files"
    MEDIA = "media", "media in messages"
    VOICE = "voice", "voice"
    COMPACTION = "compaction", "compaction"
    MEMORY_FLUSH = "memory_flush", "the memory flush"
    UTILITY = "utility", "utility tasks", False, True
    DECISIONS = "decisions", "decisions"
    FAILOVER = "failover", "the failover after a refusal"
    REVIEWER = "reviewer", "the review of commands"
    IMAGE_GENERATION = "image_generation", "image generation"
    MUSIC_GENERATION = "music_generation", "music generation"
    VIDEO_GENERATION = "video_generation", "video generation"
    UNKNOWN = "unknown", "a purpose that could not be seen"


@dataclass(frozen=True, slots=True)
class Use:
    """A model in use and its purpose.

    ``model`` is ``provider/model``, or a provider alone if its model is not known. ``name`` tells cron jobs,
    hooks and channels apart.
    """

    model: str
    purpose: Purpose
    name: str = ""

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0].lower()

    @property
    def words(self) -> str:
        """Who uses the model, for people."""
        return f'{self.purpose.words} "{self.name}"' if self.name else self.purpose.words

    def __str__(self) -> str:
        return f"{self.words} ({self.model})"


def most_important_first(uses: Iterable[Use]) -> tuple[Use, ...]:
    """Each of ``uses`` once."""
    return tuple(sorted(dict.fromkeys(uses), key=lambda use: use.purpose.rank))


def in_list(uses: Iterable[Use], most: int = 3) -> str:
    """The uses for people, at most ``most`` of them by name: "the heartbeat (zai/glm-5) and sub-agents (…)"."""
    names = [str(use) for use in uses]
    if len(names) > most:
        names[most - 1 :] = [f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
