"""Reading a data folder's manifest."""

import pytest

from MaskWhatMattersLib.datasets.manifest import read_manifest, read_table
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


def test_a_table_of_paths_alone_is_enough(tmp_path):
    (tmp_path / "table.csv").write_text("\ufeffpath,extra\n a.png ,1\n,2\nsub/b.png,3\n", encoding="utf-8")
    rows = read_table(tmp_path / "table.csv")
    assert [row.image for row in rows] == [tmp_path / "a.png", tmp_path / "sub/b.png"]
    assert {(row.label_map, row.split, row.patient, row.note) for row in rows} == {(None, "", "", "")}


def test_label_maps_are_no_images_of_a_table_and_their_words_go_to_the_image(tmp_path):
    lines = ["path,modality,label,label_path", "a.png,MR,x,m.png", "m.png,,1=liver,", "n.png,mask,1=spleen,"]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    (row,) = read_table(tmp_path / "table.csv")
    assert (row.image.name, row.note, row.label_note) == ("a.png", "x", "1=liver")


def test_a_table_that_cannot_be_read_says_how_to_save_it(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="Save it as CSV in UTF-8"):
        read_table(tmp_path / "table.csv")
