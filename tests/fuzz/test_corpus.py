"""Every input that ever broke a parser, and an example of each kind, is read without an error that nobody expects."""

from __future__ import annotations

import pytest
from harnesses import CORPUS, HARNESSES, replay


@pytest.mark.parametrize("name", HARNESSES)
def test_corpus_is_read(name: str) -> None:
    assert replay(name) > 1


def test_every_folder_of_the_corpus_has_a_harness() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(HARNESSES)
