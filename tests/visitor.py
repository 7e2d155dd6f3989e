"""A person with a browser: pages, and the forms on them."""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx


@dataclass
class Form:
    """A form of a page: its fields with their values, and its buttons by label."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input" and given.get("type") != "checkbox":
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._button = given.get("name", ""), given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self.forms[-1].buttons[data.strip()] = self._button
            self._button = None


class Visitor:
    """A browser without scripts. Every page that it has seen is in ``seen``."""

    def __init__(self, url: str, **keys: Any) -> None:
        self.client = httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=60, **keys)
        self.seen: list[str] = []
        self.answer: httpx.Response

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def open(self, path: str) -> str:
        return self._show(self.client.get(path))

    def _show(self, answer: httpx.Response) -> str:
        self.answer = answer
        self.seen.append(answer.text)
        return answer.text

    @property
    def text(self) -> str:
        """What the page shows, without markup."""
        body = re.sub(r"(?s)<(style|script|title).*?</\1>", "", self.answer.text)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    @property
    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.answer.text)
        return parser.forms

    def press(self, label: str, **fields: str) -> str:
        """Fill in the form that has this button, and press it."""
        form = next((form for form in self.forms if label in form.buttons), None)
        assert form is not None, f"no button {label!r} on: {self.text}"
        assert fields.keys() <= form.fields.keys(), form
        name, value = form.buttons[label]
        sent = {**form.fields, **fields, **({name: value} if name else {})}
        return self._show(self.client.post(str(self.answer.url.join(form.action)), data=sent))

    def until(self, words: str, seconds: float = 300.0) -> str:
        """Load the page again, as its header says, until it shows ``words``."""
        ends = time.monotonic() + seconds
        while words not in self.text:
            assert 'http-equiv="refresh"' in self.answer.text, f"{words!r} does not come: {self.text}"
            assert time.monotonic() < ends, f"not within {seconds:g} s: {words!r}, but {self.text}"
            time.sleep(0.2)
            self.open(str(self.answer.url))
        return self.text
