"""A condition is its plain word everywhere outside the program, and carries its definition inside."""

from __future__ import annotations

import json
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from exporter.model import ConditionName, Family


class Match(BaseModel):
    condition: ConditionName


@pytest.mark.parametrize("name", ConditionName)
def test_condition_is_its_word(name: ConditionName) -> None:
    assert name == name.definition.word == str(name) == f"{name}"
    assert ConditionName(name.value) is name
    assert json.dumps({name: name}) == f'{{"{name.value}": "{name.value}"}}'
    assert pickle.loads(pickle.dumps(name)) is name


def test_pydantic_reads_and_writes_the_word() -> None:
    match = Match.model_validate({"condition": "expired"})
    assert match.condition is ConditionName.EXPIRED
    assert match.model_dump_json() == '{"condition":"expired"}'
    with pytest.raises(ValidationError, match="'undated', 'expiring', 'expired'"):
        Match.model_validate({"condition": "late"})


def test_family_comes_from_the_definition() -> None:
    assert ConditionName.EXPIRED.family is Family.DEADLINE
    assert {name.family for name in ConditionName} == set(Family)
