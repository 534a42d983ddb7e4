"""Reading a data folder's manifest."""

import pytest

from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.errors import InputError
from phantoms import write_data_folder


def test_rows_point_to_images_and_their_label_maps(tmp_path):
    rows = read_manifest(write_data_folder(tmp_path))
    assert len(rows) == 16
    assert all(row.image.is_file() and (row.label_map is None or row.label_map.is_file()) for row in rows)
    assert {row.split for row in rows} == {"train", "val"}


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"No MANIFEST\.csv"):
        read_manifest(tmp_path)


def test_a_manifest_without_a_column_names_it(tmp_path):
    (tmp_path / "MANIFEST.csv").write_text("path,dataset,split,modality,label\n")
    with pytest.raises(InputError, match="lacks the columns label_path"):
        read_manifest(tmp_path)


def test_the_real_manifest_lists_the_left_atrium_split(data_folder):
    rows = [row for row in read_manifest(data_folder) if row.dataset == "left_atrium"]
    assert sum(row.split == "train" for row in rows) == 75
    assert sum(row.split == "val" for row in rows) == 5
