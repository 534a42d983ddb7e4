"""Finding the images of a training in folders, tables and COCO files, with all problems at once."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.datasets.find_images import find_images, find_labelled
from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, write_volume
from phantoms import write_data_folder

PLANE = ImagePreprocessing(spatial_dims=2)
SPACE = ImagePreprocessing()


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 40), np.uint8)).save(path)
    return folder


def volumes(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(Volume(np.zeros((1, 4, 4, 4), np.uint8), np.eye(4)), path)
    return folder


def table(folder: Path, *rows: dict[str, str], name: str = "table.csv") -> Path:
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def splits(cases: ImageCases) -> Counter[str | None]:
    return Counter(case.split for case in cases.cases)


def learn(data: Path, task: str = "classification", **options) -> ImageCases:
    return find_labelled(data, task, **{"validation": 0.25, "seed": 0, **options})


def test_pictures_and_volumes_are_images_in_2d_and_volumes_alone_in_3d(tmp_path):
    pictures(volumes(tmp_path, "a.nii.gz", "b/c.nrrd"), "d.png")
    assert [case.name for case in find_images(tmp_path, PLANE).cases] == ["a", "b/c", "d"]
    found = find_images(tmp_path, SPACE)
    assert [case.name for case in found.cases] == ["a", "b/c"]
    assert found.notes == ("1 pictures are left out, since 3D learns from volumes.",)
    assert splits(found) == {"train": 2}


def test_label_maps_are_no_images_and_may_say_what_is_relevant(tmp_path):
    pictures(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    cases = find_images(tmp_path, PLANE).cases
    assert [case.label_map for case in cases] == [tmp_path / "masks/a.png", None]


def test_a_single_file_is_one_image(tmp_path):
    volumes(tmp_path, "scan.nii.gz")
    assert [case.name for case in find_images(tmp_path / "scan.nii.gz", SPACE).cases] == ["scan"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing", "does not exist"),
        (lambda folder: folder, "holds no image"),
        (lambda folder: pictures(folder, "a.png"), "found 1 pictures only"),
        (lambda folder: table(folder, {"file": "a"}), "lacks the columns path"),
        (lambda folder: table(folder, {"path": "a.nii.gz"}), "1 files that .* names are missing"),
        (lambda folder: volumes(folder, "a.nii.gz", "a.nrrd"), "have the same name"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        find_images(make(tmp_path), SPACE)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(InputError, match="is no image"):
        find_images(tmp_path / "a.docx", PLANE)


def test_a_table_needs_paths_only_and_tells_more_where_it_can(tmp_path):
    pictures(tmp_path, "1.png", "2.png", "3.png", "m.png")
    few = find_images(table(tmp_path, {"path": "1.png"}, {"path": "2.png"}), PLANE)
    assert [(case.name, case.patient, case.split) for case in few.cases] == [("1", "1", "train"), ("2", "2", "train")]
    row = {"path": "3.png", "patient": "p", "split": "valid", "label": "x; y", "label_path": "m.png"}
    case = find_images(table(tmp_path, row), PLANE).cases[0]
    assert (case.patient, case.split, case.class_name, case.label_map) == ("p", "val", "x", tmp_path / "m.png")


def test_our_manifest_is_read_and_its_label_maps_are_attached(tmp_path):
    rows = read_manifest(write_data_folder(tmp_path))
    found = find_images(tmp_path, PLANE)
    assert [case.image for case in found.cases] == [row.image for row in rows]
    files = [case.label_map for case in found.cases if isinstance(case.label_map, Path)]
    assert files == [row.label_map for row in rows if row.label_map is not None]
    assert sum(isinstance(case.label_map, Volume) for case in found.cases) == 2  # boxes


def test_a_folder_below_a_manifest_keeps_its_splits(tmp_path):
    pictures(tmp_path, "set/images/a.png", "set/images/b.png", "other/images/c.png")
    rows = [{"path": f"set/images/{name}.png", "split": split} for name, split in (("a", "test"), ("b", "train"))]
    table(tmp_path, *rows, name="MANIFEST.csv")
    found = find_images(tmp_path / "set", PLANE)
    assert {case.name: case.split for case in found.cases} == {"set/a": "test", "set/b": "train"}
    assert len(find_images(tmp_path / "other", PLANE).cases) == 1


def test_a_folder_per_class_gives_classes_and_divided_patients(tmp_path):
    pictures(tmp_path, *(f"{name}/{index}.png" for name in ("x", "y") for index in range(8)))
    found = learn(tmp_path)
    assert found.classes == ("x", "y")
    assert splits(found) == {"train": 12, "val": 4}


def test_splits_and_classes_may_both_be_folders(tmp_path):
    pictures(tmp_path, "train/x/1.png", "train/y/2.png", "val/x/1.png", "val/y/4.png", "test/y/5.png")
    found = learn(tmp_path)
    assert (found.classes, splits(found)) == (("x", "y"), {"train": 2, "val": 2, "test": 1})


def test_images_without_a_class_are_left_out_and_counted(tmp_path):
    pictures(tmp_path, "loose.png", *(f"{name}/{index}.png" for name in ("x", "y") for index in range(4)))
    found = learn(tmp_path)
    assert len(found.cases) == 8
    assert found.notes[0] == "1 of 9 images have no class and are left out."


def patients(cases: ImageCases) -> dict[str, set[str | None]]:
    """Splits of each patient."""
    return {case.patient: {each.split for each in cases.cases if each.patient == case.patient} for case in cases.cases}


@pytest.mark.parametrize(
    ("stem", "names"),
    [("patient{0}_{1}", {"patient0", "patient1", "patient2"}), ("vol{0}_slice{1}", {"vol0", "vol1", "vol2"})],
)
@pytest.mark.parametrize("folders", [("a", "b"), ("0", "1"), ("train/a", "train/b")])
def test_a_patient_in_two_class_folders_is_one_person(tmp_path, stem, names, folders):
    pictures(tmp_path, *(f"{each}/{stem.format(i, j)}.png" for each in folders for i in range(3) for j in range(2)))
    found = learn(tmp_path)
    assert set(patients(found)) == names
    assert sorted(map(sorted, patients(found).values())) == [["train"], ["train"], ["val"]]
    assert found.notes == ()


def test_a_patient_in_two_class_folders_of_a_table_is_one_person_in_each_set(tmp_path):
    pictures(tmp_path, *(f"s/{each}/vol{i}_z{j}.png" for each in ("1", "2") for i in range(3) for j in range(2)))
    rows = [{"path": path.relative_to(tmp_path).as_posix(), "dataset": "s"} for path in sorted(tmp_path.rglob("*.png"))]
    found = learn(table(tmp_path, *({**row, "label": row["path"].split("/")[1]} for row in rows)))
    assert set(patients(found)) == {"s/vol0", "s/vol1", "s/vol2"}
    assert all(len(splits) == 1 for splits in patients(found).values())


def test_folders_with_a_number_tell_volumes_apart_where_they_are_no_classes(tmp_path):
    names = [f"case{i}/scan1_slice{j}.png" for i in range(3) for j in range(2)]
    pictures(tmp_path, *(f"images/{name}" for name in names), *(f"masks/{name}" for name in names))
    assert set(patients(learn(tmp_path, "segmentation"))) == {"case0/scan1", "case1/scan1", "case2/scan1"}


def test_a_patient_is_one_in_all_splits(tmp_path):
    pictures(tmp_path, "train/sub-01_a.png", "test/sub-01_b.png", "test/sub-02.png")
    with pytest.raises(InputError, match="patient sub-01 is in two splits, t"):
        find_images(tmp_path, PLANE)


def test_equal_names_in_two_splits_are_two_people(tmp_path):
    found = learn(pictures(tmp_path, *(f"{split}/{name}/1.png" for split in ("train", "val") for name in "xy")))
    assert len(patients(found)) == 4


def test_images_that_name_no_patient_are_noted_where_they_are_divided(tmp_path):
    pictures(tmp_path, *(f"{name}/{index}.png" for name in ("x", "y") for index in range(4)), "x/sub-1.png")
    found = learn(tmp_path)
    assert len(patients(found)) == 9
    assert found.notes[0].startswith("8 of 9 image names name no patient; each counts as a patient of its own.")
    assert "column patient" in found.notes[0]


def test_a_table_with_patients_or_splits_needs_no_such_note(tmp_path):
    pictures(tmp_path, *(f"{index}.png" for index in range(8)))
    rows = [{"path": f"{index}.png", "label": f"{index % 2}"} for index in range(8)]
    named = [{**row, "patient": f"{index}"} for index, row in enumerate(rows)]
    divided = [{**row, "split": "train" if index < 6 else "val"} for index, row in enumerate(rows)]
    assert "8 of 8 image names name no patient" in learn(table(tmp_path, *rows)).notes[0]
    assert learn(table(tmp_path, *named)).notes == learn(table(tmp_path, *divided)).notes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.png", "b.png"), "None of the 2 images has what classification learns from"),
        (("x/1.png", "x/2.png"), "two classes or more; found only x"),
        (("x/1.png", "x/2.png", "y/1.png"), 'class "y" has 1 patient'),
        (("train/x/1.png", "train/x/2.png", "val/y/3.png"), "No image to learn from has the class y"),
        (
            ("train/x/sub-1.png", "test/x/sub-1_b.png", "train/y/2.png"),
            "sub-1 is in two splits.*column patient",
        ),
    ],
)
def test_classes_that_cannot_be_learned_are_named(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        learn(pictures(tmp_path, *names))


def test_all_problems_come_together(tmp_path):
    pictures(tmp_path, "a.png")
    rows = [{"path": "a.png", "split": "later"}, {"path": "gone.png", "split": "train"}]
    with pytest.raises(InputError, match=r"(?s)Unknown split 'later'.*1 files.*None of the 2 images"):
        learn(table(tmp_path, *rows))


def test_segmentation_takes_images_with_a_label_map(tmp_path):
    images = [f"images/{index}.nii.gz" for index in range(5)]
    volumes(tmp_path, *images, *(f"labels/{index}.nii.gz" for index in range(4)))
    found = learn(tmp_path, "segmentation", preprocessing=SPACE)
    assert splits(found) == {"train": 3, "val": 1}
    assert found.notes[0] == "1 of 5 images have no label map and are left out."


def test_names_of_labels_come_from_the_table(tmp_path):
    volumes(tmp_path, *(f"{kind}{index}.nii.gz" for kind in "im" for index in range(2)))
    rows = [{"path": f"i{index}.nii.gz", "label": "image", "label_path": f"m{index}.nii.gz"} for index in range(2)]
    rows += [{"path": f"m{index}.nii.gz", "label": "1=liver;2=spleen", "label_path": ""} for index in range(2)]
    assert learn(table(tmp_path, *rows), "segmentation").label_names == {1: "liver", 2: "spleen"}
    rows[-1]["label"] = "1=heart"
    with pytest.raises(InputError, match="different things in different label maps"):
        learn(table(tmp_path, *rows), "segmentation")


def test_structures_that_nobody_looked_for_in_some_cases_are_noted(tmp_path):
    volumes(tmp_path, *(f"{kind}{index}.nii.gz" for kind in "im" for index in range(3)))
    rows = [{"path": f"i{index}.nii.gz", "label": "image", "label_path": f"m{index}.nii.gz"} for index in range(3)]
    notes = ["1=a;2=b; contoured here: A,B", "1=a;2=b; contoured here: A", "1=a;2=b; contoured here: A"]
    rows += [{"path": f"m{index}.nii.gz", "label": note, "label_path": ""} for index, note in enumerate(notes)]
    found = learn(table(tmp_path, *rows), "segmentation")
    assert found.label_names == {1: "a", 2: "b"}
    assert "contoured in each of the 3 cases: B in 1. In the others it is learned" in found.notes[-1]


def test_boxes_of_a_table_are_instances_for_detection_alone(tmp_path):
    pictures(tmp_path, *(f"{index}.png" for index in range(4)))
    boxes = "x; boxes(xc,yc,w,h)=[[0.5,0.5,0.5,0.5]]"
    rows = [{"path": f"{index}.png", "label": boxes if index else "none"} for index in range(4)]
    found = learn(table(tmp_path, *rows), "detection")
    assert [case.label_map.array.sum() for case in found.cases] == [200] * 3
    assert "1 of 4 images have no outline or box" in found.notes[0]
    with pytest.raises(InputError, match="None of the 4 images has what segmentation learns from"):
        learn(table(tmp_path, *rows), "segmentation")


def test_wrong_boxes_name_their_image(tmp_path):
    pictures(tmp_path, "a.png")
    with pytest.raises(InputError, match="a: Boxes must be"):
        learn(table(tmp_path, {"path": "a.png", "label": "x; boxes(xc,yc,w,h)=[[7,0,0,0]]"}), "detection")


def test_coco_annotations_are_found_beside_their_pictures(tmp_path):
    for split, name in (("train", "a.png"), ("valid", "b.png")):
        pictures(tmp_path / split, name)
        content = {
            "images": [{"id": 1, "file_name": name, "width": 40, "height": 20}],
            "annotations": [{"image_id": 1, "bbox": [4, 4, 8, 8]}],
            "categories": [{"name": "x"}, {"name": "y"}],
        }
        pytest.importorskip("pycocotools")
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    found = learn(tmp_path, "detection")
    assert splits(found) == {"train": 1, "val": 1}
    assert found.cases[0].label_map.array.sum() == 64
    assert "2 categories; detection does not tell them apart" in found.notes[0]


def test_broken_coco_annotations_are_told(tmp_path):
    pictures(tmp_path, "a.png")
    (tmp_path / "coco.json").write_text('{"annotations": 3}')
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as COCO"):
        learn(tmp_path, "detection")


@pytest.mark.parametrize(
    ("name", "task", "wanted"),
    [
        ("brain_tumor_2d_figshare", "classification", {"train": 598, "val": 138, "test": 180}),
        ("brain_tumor_2d_br35h_masks", "detection", {"train": 166, "val": 63, "test": 87}),
        ("chest_xray_kermany_lungmask", "classification", {"train": 340, "val": 75, "test": 72}),
        ("acdc_cardiac_mr", "segmentation", {"train": 38, "val": 8, "test": 8}),
        ("openkbp_hn_ct", "segmentation", {"train": 45, "val": 9, "test": 9}),
    ],
)
def test_the_real_sets_keep_their_splits(data_folder, name, task, wanted):
    assert splits(learn(data_folder / name, task)) == wanted


def test_structures_that_a_real_set_lacks_are_noted(data_folder):
    (note,) = learn(data_folder / "openkbp_hn_ct", "segmentation").notes
    assert "each of the 63 cases: Esophagus in " in note
    assert "Larynx in " in note
    assert "Mandible" not in note


def test_both_frames_of_a_real_patient_belong_together(data_folder):
    cases = learn(data_folder / "acdc_cardiac_mr", "segmentation").cases
    assert len({case.patient for case in cases}) == len(cases) // 2
