"""What is wrong with a configuration, as sentences that name the key and its place.

``reading`` calls ``sentence`` for each problem pydantic found. No sentence quotes a value: it may be a
secret; only a validator of ours does, for what cannot be one (a duration, an address).
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel

from exporter.config.channels import ChannelBase, channel_models
from exporter.config.models import Config
from exporter.lib.durations import format_duration
from exporter.lib.names import nearest, suggestion

#: What a value must be, by pydantic's kind of problem.
_MUST_BE = {
    "bool_type": "true or false",
    "dict_type": "an object: { … }",
    "int_type": "a whole number",
    "list_type": "a list: [ … ]",
    "model_type": "an object: { … }",
    "string_type": 'text, in quotes: "…"',
}
#: How what has to be of a certain form is written, by its key.
_WRITE = {
    "from": 'write a time of day like "22:00"',
    "name": 'a name has no "/" and no control characters',
    "ssh": 'write a host like "me@vps", as for ssh',
    "to": 'write a time of day like "07:00"',
    "url": 'write it like "http://127.0.0.1:18789"',
}
#: What pydantic calls a bound, and how it is said.
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def sentence(problem: Any) -> str:
    """One pydantic error as a sentence with the key's place, and the nearest known key."""
    location = list(problem["loc"])
    place, model, others = _walk(location)
    kind, ctx = problem["type"], problem.get("ctx", {})
    message = problem["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}" if place else message
    if kind == "extra_forbidden":
        message = "unknown key" + _nearest(str(location[-1]), set(_field_names(model)) if model else set(), others)
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        key = ctx["discriminator"].strip("'").replace("_source_of()", "source")
        tags = re.findall(r"'(\w+)'", ctx.get("expected_tags", ""))
        known = f"; there are {', '.join(sorted(set(tags) - {'simulated'}))}" if tags else ""
        place, message = (f"{place}.{key}", f"unknown {key}{known}") if tags else (place, f"{key} is missing")
    elif kind in _MUST_BE:
        message = f"must be {_MUST_BE[kind]}"
    elif kind == "int_from_float":
        message = "must be a whole number"
    elif kind == "literal_error":
        message = f"must be {ctx['expected']}"
    elif kind in ("too_short", "string_too_short"):
        message = "must not be empty"
    elif kind == "string_too_long":
        message = f"must be at most {ctx['max_length']} characters long"
    elif kind == "string_pattern_mismatch":
        message = _WRITE.get(str(location[-1]), message)
    elif kind in _BOUNDS:
        bound = ctx[_BOUNDS[kind][0]]
        message = f"must be {_BOUNDS[kind][1]} {format_duration(bound) if isinstance(bound, float) else bound}"
    elif kind == "missing":
        message = "is missing"
    return f"{place}: {message}" if place else message


def _field_names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _walk(location: list[Any]) -> tuple[str, type[BaseModel] | None, list[type[BaseModel]]]:
    """The readable place of a pydantic location, the model its last key belongs to, and the other kinds
    of the same thing where there are any."""
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
    return re.sub(r"\.(literal\['all'\]|list\[.*|function-.*|constrained-str)$", "", place), model, others


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
    """What may have been meant: the nearest key, also of the other kinds, else the keys there are."""
    having: dict[str, list[str]] = {}
    for model in others:
        for name in set(_field_names(model)) - known:
            having.setdefault(name, []).append(f'"{_tag_of(model)}"')
    own = None if word in having else nearest(word, known)
    other = word if word in having else nearest(word, having, cutoff=0.6)
    if own is not None or other is None:
        return suggestion(word, known)
    tag = "source" if "source" in known else "type"
    return f"; did you mean {other!r} of {tag} {' or '.join(sorted(having[other]))}?"
