"""Settings from TOML: what is wrong is named with its table and the nearest field, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from MaskWhatMattersLib.config_files import checked_settings, merged, nearest, read_settings, read_toml
from MaskWhatMattersLib.errors import InputError


class Losses(BaseModel):
    model_config = ConfigDict(extra="forbid")
    temperature: float = Field(0.4, gt=0)
    weight: float = 1.0


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mode: str
    steps: int = Field(100, ge=1)
    losses: Losses = Losses()
    extra: Losses | None = None

    @model_validator(mode="after")
    def steps_fit_the_mode(self) -> Settings:
        if self.mode == "short" and self.steps > 10:
            raise ValueError("short has at most 10 steps. Give fewer.")
        return self


def written(folder: Path, text: str) -> Path:
    (folder / "settings.toml").write_text(text)
    return folder / "settings.toml"


def test_what_is_given_wins_over_the_file_field_by_field(tmp_path):
    file = written(tmp_path, 'mode = "a"\nsteps = 7\n[losses]\ntemperature = 2\nweight = 3\n')
    settings = read_settings(Settings, file, {"mode": "b", "losses": {"weight": 4}})
    assert (settings.mode, settings.steps, settings.losses) == ("b", 7, Losses(temperature=2, weight=4))


def test_a_file_is_not_needed():
    assert read_settings(Settings, None, {"mode": "b"}).steps == 100


def test_a_typo_names_the_nearest_field(tmp_path):
    with pytest.raises(InputError, match=r'settings\.toml: the settings have no field "step" \(did you mean "steps"'):
        read_settings(Settings, written(tmp_path, 'mode = "a"\nstep = 3'))


@pytest.mark.parametrize("table", ["losses", "extra"])
def test_a_typo_in_a_table_names_the_table(tmp_path, table):
    with pytest.raises(InputError, match=rf'the table \[{table}\] has no field "temprature" \(did you mean "temperatu'):
        read_settings(Settings, written(tmp_path, f'mode = "a"\n[{table}]\ntemprature = 1'))


def test_a_field_unlike_any_lists_what_there_is():
    with pytest.raises(InputError, match=r'no field "zzz" \(there are mode, steps, losses, extra\)'):
        checked_settings(Settings, {"mode": "a", "zzz": 1})


def test_all_problems_come_at_once():
    with pytest.raises(InputError) as refused:
        checked_settings(Settings, {"steps": 0, "losses": {"temperature": "hot"}})
    for said in ("mode is missing", "steps '0' cannot be used: it should be greater", "losses.temperature 'hot'"):
        assert said in str(refused.value)


def test_rules_across_fields_are_told_in_their_own_words():
    with pytest.raises(InputError, match=r"^settings: short has at most 10 steps\. Give fewer\.$"):
        checked_settings(Settings, {"mode": "short"})


@pytest.mark.parametrize(("content", "said"), [(b"a = [", "is not a TOML file"), (b"\xff", "is not a TOML file")])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content, said):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_toml(tmp_path / "a.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read: No such file.*Check --config"):
        read_toml(tmp_path / "nowhere.toml")


def test_merging_leaves_both_as_they_were():
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(below, above) == {"a": {"b": 1, "c": 2}}
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_nothing_to_choose_from_is_said():
    assert nearest("a", []) == "there are none"
