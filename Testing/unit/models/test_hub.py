"""Downloads, against a real server on the loopback."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.errors import ConsentRequiredError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.models import HubFile, HubModel, download, find_model, hub, hub_models, read_model
from MaskWhatMattersLib.progress import SilentProgress
from unit.models.small_models import FileServer, offer, write_hub
from unit.volumes.grids import full_disk


@pytest.fixture
def server():
    server = FileServer({})
    yield server
    server.close()


@pytest.fixture
def user_folder(tmp_path):
    return tmp_path / "user"


@pytest.fixture
def model(server, tmp_path, user_folder):
    model = offer(server, tmp_path)
    write_hub(user_folder, model)
    return model


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_downloaded_model_is_found_and_read(model, user_folder):
    folder = download("tiny", consent=True, user_folder=user_folder)
    assert files_in(folder) == ["model.json", "model.safetensors"]
    assert find_model("tiny", user_folder=user_folder) == folder / "model.safetensors"
    assert read_model("tiny", user_folder=user_folder)[1].name == "tiny"
    assert files_in(user_folder) == ["hub.json", "tiny/model.json", "tiny/model.safetensors"]


def test_nothing_is_asked_of_the_server_without_consent(model, server, user_folder):
    with pytest.raises(ConsentRequiredError, match=r"MB from 127\.0\.0\.1, licence CC BY 4\.0"):
        download("tiny", user_folder=user_folder)
    assert server.requests == []
    assert files_in(user_folder) == ["hub.json"]


def test_the_question_shows_the_model_and_its_answer_counts(model, server, user_folder):
    asked = []
    with pytest.raises(ConsentRequiredError):
        download("tiny", consent=lambda wanted: asked.append(wanted.summary), user_folder=user_folder)
    assert "licence CC BY 4.0" in asked[0]
    assert server.requests == []
    assert download("tiny", consent=lambda _: True, user_folder=user_folder).is_dir()


def test_a_model_that_is_there_is_not_fetched_again(model, server, user_folder):
    download("tiny", consent=True, user_folder=user_folder)
    asked = len(server.requests)
    download("tiny", user_folder=user_folder)
    assert len(server.requests) == asked


def test_a_broken_connection_goes_on_where_it_stopped(model, server, user_folder):
    server.cut_after = [100, 50]
    download(model, consent=True, user_folder=user_folder)
    assert [wanted for path, wanted in server.requests if path.endswith("safetensors")] == [
        None,
        "bytes=100-",
        "bytes=150-",
    ]
    read_model("tiny", user_folder=user_folder)


def test_a_download_that_breaks_off_is_resumed_by_the_next_call(model, server, user_folder):
    server.cut_after = [100, 0, 0]
    with pytest.raises(ModelFileError, match=r"interrupted after 100 of \d+ bytes.*goes on where it stopped"):
        download("tiny", consent=True, user_folder=user_folder)
    with pytest.raises(ConsentRequiredError):
        find_model("tiny", user_folder=user_folder)
    download("tiny", consent=True, user_folder=user_folder)
    assert server.requests[3][1] == "bytes=100-"
    read_model("tiny", user_folder=user_folder)


def test_a_server_without_ranges_sends_everything_again(model, server, user_folder):
    server.cut_after, server.knows_ranges = [100], False
    download("tiny", consent=True, user_folder=user_folder)
    read_model("tiny", user_folder=user_folder)


def test_a_wrong_checksum_is_refused_and_the_file_deleted(model, server, user_folder):
    content = bytearray(server.files["/tiny/model.safetensors"])
    content[-1] ^= 1
    server.files["/tiny/model.safetensors"] = bytes(content)
    with pytest.raises(ModelFileError, match=r"not the expected file: the checksum is"):
        download("tiny", consent=True, user_folder=user_folder)
    assert files_in(user_folder) == ["hub.json"]


def test_more_bytes_than_announced_are_not_read(model, server, user_folder):
    server.files["/tiny/model.safetensors"] += b"more"
    download("tiny", consent=True, user_folder=user_folder)
    read_model("tiny", user_folder=user_folder)


def test_a_file_that_is_gone_from_the_server_is_said(model, server, user_folder):
    server.files.clear()
    with pytest.raises(ModelFileError, match=r"refused .*model\.safetensors \(404"):
        download("tiny", consent=True, user_folder=user_folder)


def test_no_server_is_said(model, user_folder):
    nowhere = model.files[0].model_copy(update={"url": "http://127.0.0.1:9/x"})
    with pytest.raises(ModelFileError, match=r"after 0 of .*refused.*Check the network"):
        download(model.model_copy(update={"files": (nowhere,)}), consent=True, user_folder=user_folder)


class StopAtOnce(SilentProgress):
    def step(self, count: int = 1, message: str = "") -> None:
        raise JobCancelledError


def test_cancel_keeps_what_is_there_and_shows_no_half_model(model, user_folder):
    with pytest.raises(JobCancelledError):
        download("tiny", consent=True, report=StopAtOnce(), user_folder=user_folder)
    assert not (user_folder / "tiny").exists()
    download("tiny", consent=True, user_folder=user_folder)
    read_model("tiny", user_folder=user_folder)


class Counting(SilentProgress):
    def __init__(self) -> None:
        self.total = self.steps = 0

    def stage(self, text: str, total: int = 0) -> None:
        self.total = total

    def step(self, count: int = 1, message: str = "") -> None:
        self.steps += count


def test_progress_is_told(model, user_folder):
    report = Counting()
    download("tiny", consent=True, report=report, user_folder=user_folder)
    assert (report.total, report.steps) == (1, 2)


def test_a_full_disk_is_said_and_nothing_half_is_used(model, user_folder):
    with full_disk(at_most_bytes=200), pytest.raises(ModelFileError, match=r"could not be stored.*Free some space"):
        download("tiny", consent=True, user_folder=user_folder)
    assert not (user_folder / "tiny").exists()


def test_a_model_larger_than_the_disk_is_not_begun(model, server, user_folder):
    huge = model.files[0].model_copy(update={"size_bytes": 10**18})
    with pytest.raises(ModelFileError, match="needs 1000000000000 MB"):
        download(model.model_copy(update={"files": (huge,)}), consent=True, user_folder=user_folder)
    assert server.requests == []


def test_an_unknown_name_lists_what_is_offered(model, user_folder):
    with pytest.raises(ModelFileError, match=r'"huge" can be downloaded.*offers: tiny'):
        download("huge", consent=True, user_folder=user_folder)


def test_without_a_list_nothing_is_offered(tmp_path):
    assert hub_models(tmp_path) == {}


@pytest.mark.parametrize("content", ["{", '[{"name": "a"}]', "{}"])
def test_a_list_that_is_not_valid_is_named(tmp_path, content):
    (tmp_path / "hub.json").write_text(content)
    with pytest.raises(ModelFileError, match=r"hub\.json is not valid"):
        hub_models(tmp_path)


@pytest.mark.parametrize("name", ["../model.safetensors", "a/b", "", "..", "a\\b"])
def test_a_file_of_the_hub_cannot_leave_its_folder(name):
    with pytest.raises(ValidationError):
        HubFile(name=name, url="https://example.org/x", size_bytes=1, sha256="0" * 64)


def test_a_list_of_downloads_gives_checksums(model, user_folder):
    unverified = tuple(file.model_copy(update={"sha256": None}) for file in model.files)
    write_hub(user_folder, model.model_copy(update={"files": unverified}))
    with pytest.raises(ModelFileError, match=r"hub\.json gives no sha256 for files of tiny"):
        hub_models(user_folder)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "example.org"])
def test_only_web_addresses_are_fetched(url):
    with pytest.raises(ValidationError):
        HubFile(name="x", url=url, size_bytes=1, sha256="0" * 64)


def test_a_model_without_files_is_no_model():
    with pytest.raises(ValidationError):
        HubModel(name="x", licence="MIT", files=())


def test_large_files_come_in_pieces(server, tmp_path, user_folder, monkeypatch):
    monkeypatch.setattr(hub, "_CHUNK_BYTES", 100)
    report = Counting()
    model = offer(server, tmp_path)
    download(model, consent=True, report=report, user_folder=user_folder)
    assert report.steps >= report.total > 5
