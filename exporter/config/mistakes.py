"""Sentences for the mistakes in a configuration. Each names the key, its place and what to write.

``reading`` calls ``sentence`` for each problem that pydantic finds. No sentence quotes a value, which may be a secret.
Only our own validators do, for values that cannot be secrets, like a duration or an address.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel

from exporter.config.channels import ChannelBase, channel_models
from exporter.config.models import Config
from exporter.lib.durations import format_duration
from exporter.lib.names import nearest, suggestion
from exporter.lib.printable import one_line

#: Our words for pydantic's problems whose sentence needs no more facts.
_SENTENCES = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object: { … }",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list: [ … ]",
    "missing": "is missing",
    "model_attributes_type": "must be an object: { … }",
    "model_type": "must be an object: { … }",
    "string_too_short": "must not be empty",
    "string_type": 'must be text, in quotes: "…"',
    "too_short": "must not be empty",
}
#: How to write a value that must match a pattern, by its key.
_WRITE = {
    "from": 'write a time of day like "22:00"',
    "name": 'write a name without "/" and control characters',
    "ssh": 'write a host like "me@vps", as for ssh',
    "to": 'write a time of day like "07:00"',
    "url": 'write it like "http://127.0.0.1:18789"',
}
#: The limits of a number: pydantic's name, its key in the problem's context, and our words.
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def sentence(problem: Any) -> str:
    """A pydantic error as a sentence with the place of the key. An unknown key comes with the nearest known one."""
    place, model, others = _walk(list(problem["loc"]))
    key, kind, context = str(problem["loc"][-1]) if problem["loc"] else "", problem["type"], problem.get("ctx", {})
    message = problem["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}" if place else message
    if kind == "extra_forbidden":
        message = "unknown key" + _nearest(key, set(_field_names(model)) if model else set(), others)
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = context["discriminator"].strip("'")
        tags = set(re.findall(r"'(\w+)'", context.get("expected_tags", ""))) - {"simulated"}
        message = f"unknown {tag}{suggestion(str(context.get('tag', '')), tags)}" if tags else f"{tag} is missing"
        place = f"{place}.{tag}" if tags else place
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    elif kind == "string_too_long":
        message = f"must be at most {context['max_length']} characters long"
    elif kind == "string_pattern_mismatch":
        message = _WRITE.get(key, message)
    elif kind in _BOUNDS:
        bound = context[_BOUNDS[kind][0]]
        message = f"must be {_BOUNDS[kind][1]} {format_duration(bound) if isinstance(bound, float) else bound}"
    message = _SENTENCES.get(kind, message)
    return one_line(f"{place}: {message}" if place else message)


def _field_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _walk(location: list[Any]) -> tuple[str, type[BaseModel] | None, list[type[BaseModel]]]:
    """The place of a pydantic location as text, the model of its last key, and the model's alternatives.

    The alternatives of one kind of target or channel are the other kinds.
    """
    place, model = "", None
    others: list[type[BaseModel]] = []
    alike = others
    current: Any = Config
    for step in location:
        models = _models_in(current)
        if isinstance(step, int):
            place += f"[{step}]"
            current = models or current
            continue
        tagged = [m for m in models if _tag_of(m) == step and len(models) > 1]
        if tagged:
            current, alike = tagged[0], [m for m in models if m is not tagged[0] and _tag_of(m) != "simulated"]
            continue
        place += f".{step}" if place else str(step)
        others, alike = alike, []
        model = models[0] if len(models) == 1 else None
        fields = {info.alias or name: info for m in models for name, info in m.model_fields.items()}
        current = fields[step].annotation if step in fields else current
    return re.sub(r"(?s)\.(literal\['all'\]|list\[.*|function-.*|constrained-str)\Z", "", place), model, others


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, list):
        return annotation
    if annotation is ChannelBase:
        return list(channel_models())
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _tag_of(model: type[BaseModel]) -> str | None:
    for name in ("source", "type"):
        if name in model.model_fields:
            return str(get_args(model.model_fields[name].annotation)[0])
    return None


def _nearest(word: str, known: set[str], others: list[type[BaseModel]]) -> str:
    """The end of a sentence about an unknown key: the nearest key, also of ``others``, else the known keys."""
    owners: dict[str, list[str]] = {}
    for model in others:
        for name in set(_field_names(model)) - known:
            owners.setdefault(name, []).append(f'"{_tag_of(model)}"')
    own = None if word in owners else nearest(word, known)
    other = word if word in owners else nearest(word, owners, cutoff=0.6)
    if own is not None or other is None:
        return suggestion(word, known)
    tag = "source" if "source" in known else "type"
    return f"; did you mean {other!r} of {tag} {' or '.join(sorted(owners[other]))}?"
