"""Where models are looked for, listed and removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from MaskWhatMattersLib.errors import ConsentRequiredError, ModelFileError
from MaskWhatMattersLib.models import default_user_folder, find_model, list_models, places, remove_model
from unit.models.small_models import FileServer, offer, saved, write_hub


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(places, "BUNDLED_FOLDER", folder)
    return folder


@pytest.fixture
def user_folder(tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


def test_a_bundled_model_comes_before_one_of_the_user(bundled, user_folder):
    saved(user_folder)
    assert find_model("tiny", user_folder=user_folder).parent == user_folder
    saved(bundled)
    assert find_model("tiny", user_folder=user_folder).parent == bundled


def test_a_folder_with_the_name_of_the_model_is_looked_into(bundled, user_folder):
    (user_folder / "big").mkdir()
    path = saved(user_folder / "big", "model")
    assert find_model("big", user_folder=user_folder) == path


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_path_is_taken_as_it_is(tmp_path, as_type):
    path = saved(tmp_path)
    assert find_model(as_type(path)) == path


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"gone\.safetensors does not exist"):
        find_model(tmp_path / "gone.safetensors")


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(ModelFileError, match="is a folder"):
        find_model(tmp_path)


def test_an_unknown_name_says_where_it_was_looked_for_and_what_there_is(bundled, user_folder):
    saved(bundled, "alpha")
    with pytest.raises(ModelFileError, match=rf'no model "beta".*{user_folder}.*there are: alpha'):
        find_model("beta", user_folder=user_folder)


def test_a_model_on_the_hub_asks_first_with_size_and_licence(bundled, user_folder, tmp_path):
    server = FileServer({})
    write_hub(user_folder, offer(server, tmp_path, research_only=True))
    server.close()
    with pytest.raises(ConsentRequiredError, match=r"MB from 127\.0\.0\.1, licence CC BY 4\.0, research only"):
        find_model("tiny", user_folder=user_folder)


def test_every_model_is_listed_once_with_its_place(bundled, user_folder, tmp_path):
    saved(bundled, "a", description="bundled one")
    saved(user_folder, "a")
    saved(user_folder, "b", licence="CC BY-NC 4.0", research_only=True)
    (user_folder / "c").mkdir()
    saved(user_folder / "c", "model")
    server = FileServer({})
    write_hub(user_folder, offer(server, tmp_path, "c"), offer(server, tmp_path, "d"))
    server.close()
    entries = {entry.name: entry for entry in list_models(user_folder)}
    assert {name: entry.place for name, entry in entries.items()} == {
        "a": "bundled",
        "b": "user",
        "c": "user",
        "d": "hub",
    }
    assert entries["a"].description == "bundled one"
    assert entries["b"].research_only
    assert entries["d"].path is None


def test_a_model_with_a_broken_card_is_listed_with_what_is_wrong(bundled, user_folder):
    saved(user_folder).with_suffix(".json").write_text("{}")
    (entry,) = list_models(user_folder)
    assert "not valid" in entry.description


def test_a_user_folder_that_does_not_exist_holds_nothing(bundled, tmp_path):
    assert list_models(tmp_path / "none") == []


def test_remove_deletes_a_model_with_its_card_and_says_how_much(bundled, user_folder):
    path = saved(user_folder)
    saved(user_folder, "other")
    size = path.stat().st_size + path.with_suffix(".json").stat().st_size
    assert remove_model("tiny", user_folder=user_folder) == size
    assert sorted(file.name for file in user_folder.iterdir()) == ["other.json", "other.safetensors"]


def test_remove_deletes_a_folder_and_an_unfinished_download(user_folder):
    for name in ("big", ".download-big"):
        (user_folder / name).mkdir()
        (user_folder / name / "model.safetensors").write_bytes(b"12345")
    assert remove_model("big", user_folder=user_folder) == 10
    assert list(user_folder.iterdir()) == []


def test_a_bundled_model_is_not_removed(bundled, user_folder):
    saved(bundled)
    with pytest.raises(ModelFileError, match="nothing was removed"):
        remove_model("tiny", user_folder=user_folder)
    assert (bundled / "tiny.safetensors").exists()


@pytest.mark.parametrize("name", ["../user", "", ".", "a/b", "/"])
def test_only_names_are_removed_never_paths(user_folder, name):
    saved(user_folder)
    with pytest.raises(ModelFileError, match="not the name of a model"):
        remove_model(name, user_folder=user_folder)
    assert (user_folder / "tiny.safetensors").exists()


@pytest.mark.parametrize(
    ("platform", "variable", "ending"),
    [
        ("linux", "XDG_DATA_HOME", ("base", "MaskWhatMatters", "models")),
        ("win32", "LOCALAPPDATA", ("base", "MaskWhatMatters", "models")),
        ("darwin", "HOME", ("Application Support", "MaskWhatMatters", "models")),
    ],
)
def test_the_user_folder_is_where_the_system_keeps_such_things(tmp_path, monkeypatch, platform, variable, ending):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path / "base"))
    assert default_user_folder().parts[-3:] == ending


def test_importing_the_room_loads_no_torch():
    library = Path(places.__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(library)!r})\n"
        "sys.modules.update(dict.fromkeys(('torch', 'safetensors', 'monai', 'slicer', 'qt')))\n"
        "import MaskWhatMattersLib.models as models; models.list_models(); print('light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("light", "")
