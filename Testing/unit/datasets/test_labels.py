"""Classes, boxes, masks and annotations as people write them down."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.labels import (
    box_label_map,
    boxes_in,
    class_in,
    contoured_in,
    label_names_in,
    picture_size,
    read_coco,
    read_label_map,
    read_region,
)
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import read_volume
from unit.volumes.grids import counted

IMAGE = counted(3, 4, 5)
GLIOMA = "glioma; boxes(xc,yc,w,h)=[[0.5,0.5,0.5,0.25], [0.25,0.5,0.1,0.1]]"


def drawn(*values: int) -> ImageCase:
    array = np.zeros(IMAGE.array.shape, np.uint8)
    array.flat[: len(values)] = values
    return ImageCase("one", IMAGE, "one", label_map=IMAGE.with_array(array))


def write_picture(path, width=40, height=20):
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("text", "name"),
    [("glioma", "glioma"), (GLIOMA, "glioma"), ("image", None), ("", None), ("1=liver; 2=spleen", None)],
)
def test_the_class_stands_before_the_first_semicolon(text, name):
    assert class_in(text) == name


def test_boxes_are_read_as_fractions():
    assert boxes_in(GLIOMA) == ((0.5, 0.5, 0.5, 0.25), (0.25, 0.5, 0.1, 0.1))
    assert boxes_in("no_tumor") == ()


@pytest.mark.parametrize("boxes", ["[[1,2,3]]", "[[0.5,0.5,20,0.1]]", "[[a,b,c,d]]"])
def test_boxes_that_are_none_are_refused(boxes):
    with pytest.raises(InputError, match="Boxes must be"):
        boxes_in(f"x; boxes(xc,yc,w,h)={boxes}")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1=liver; 2=right kidney", {1: "liver", 2: "right kidney"}),
        ("1=a;2=b; contoured here: A,B", {1: "a", 2: "b"}),
        ("1=lung (both, the part behind the heart included); 255=ignore", {1: "lung"}),
        ("255=tumour", {1: "tumour"}),
        ("0=background; 1..n=tumour instance", {}),
        ("image", {}),
    ],
)
def test_names_of_values_are_read(text, names):
    assert label_names_in(text) == names


def test_a_mask_of_0_and_255_is_0_and_1():
    assert np.unique(read_label_map(drawn(0, 255, 255), IMAGE).array).tolist() == [0, 1]


def test_255_beside_other_labels_stays():
    assert np.unique(read_label_map(drawn(0, 1, 255), IMAGE).array).tolist() == [0, 1, 255]


def test_an_image_without_a_label_map_has_none():
    assert read_label_map(ImageCase("one", IMAGE, "one"), IMAGE) is None


def test_a_label_map_on_another_grid_is_refused_by_name():
    with pytest.raises(GeometryError, match="label map of one does not lie on its image's grid"):
        read_label_map(drawn(1), counted(3, 4, 6))


def test_a_label_map_takes_the_exact_place_of_its_image():
    case, affine = drawn(0, 2), IMAGE.affine.copy()
    affine[:3, 3] += 0.001
    found = read_label_map(replace(case, label_map=replace(case.label_map, affine=affine)), IMAGE)
    np.testing.assert_array_equal(found.affine, IMAGE.affine)
    np.testing.assert_array_equal(found.array, case.label_map.array)


def test_without_its_package_coco_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match="pip install pycocotools"):
        read_coco(write_coco(tmp_path, [{"bbox": [0, 0, 4, 4]}]))


def test_labels_that_are_no_bytes_are_refused():
    case = ImageCase("one", IMAGE, "one", label_map=IMAGE.with_array(IMAGE.array + np.int16(300)))
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        read_label_map(case, IMAGE)


def marked(*values: float, kind: type = np.int16) -> list[int]:
    case = drawn()
    array = np.zeros(IMAGE.array.shape, kind)
    array.flat[: len(values)] = values
    region = read_region(replace(case, label_map=IMAGE.with_array(array)), IMAGE)
    assert (region.array.dtype, region.affine.tolist()) == (np.uint8, IMAGE.affine.tolist())
    assert not region.array.flat[len(values) :].any()
    return region.array.flat[: len(values)].tolist()


def test_any_whole_numbers_may_mark_a_region():
    assert marked(2, 1035, 255, 0) == [1, 1, 1, 0]
    assert marked(-1, 3, -1000) == [0, 1, 0]
    assert marked(70000, kind=np.int32) == [1]
    assert marked(3.0, 0.0, kind=np.float32) == [1, 0]


def test_voxels_that_nobody_has_decided_about_are_outside_of_a_region():
    assert marked(1, 255, 0) == [1, 0, 0]
    assert marked(255, 0) == [1, 0]


@pytest.mark.parametrize("value", [0.3, np.nan])
def test_fractions_mark_no_region(value):
    with pytest.raises(InputError, match="label map of one must hold whole numbers"):
        marked(value, kind=np.float32)


def test_a_region_needs_a_label_map_on_the_grid_of_its_image():
    assert read_region(ImageCase("one", IMAGE, "one"), IMAGE) is None
    with pytest.raises(GeometryError, match="label map of one does not lie on its image's grid"):
        read_region(drawn(1), counted(3, 4, 6))


def test_structures_that_were_looked_for_are_read():
    assert contoured_in("1=a;2=b; contoured here: SpinalCord, Larynx") == ("SpinalCord", "Larynx")
    assert contoured_in("1=a;2=b") == ()


def test_boxes_become_instances_on_the_pixels_of_the_picture(tmp_path):
    picture = write_picture(tmp_path / "a.png")
    label_map = box_label_map(picture, boxes_in(GLIOMA))
    assert label_map.spatial_shape == read_volume(picture).spatial_shape == (1, 20, 40)
    rows, columns = np.nonzero(label_map.array[0, 0] == 2)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (9, 10, 8, 11)
    assert np.count_nonzero(label_map.array) == 20 * 5 + 4 * 2 - 4  # the small box reaches into the large one
    assert read_label_map(ImageCase("a", picture, "a", label_map=label_map), read_volume(picture)) is not None


def test_a_box_at_the_border_keeps_a_pixel(tmp_path):
    picture = write_picture(tmp_path / "a.png")
    assert box_label_map(picture, ((0.999, 0.5, 0.001, 0.001),)).array.sum() == 1


def test_the_size_of_a_turned_picture_is_that_of_its_voxels(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert picture_size(tmp_path / "turned.jpg") == (20, 40)
    assert read_volume(tmp_path / "turned.jpg").spatial_shape == (1, 40, 20)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        picture_size(tmp_path / "a.png")


def write_coco(folder, annotations):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 20}],
        "annotations": [{"image_id": 7, **each} for each in annotations],
        "categories": [{"id": 1, "name": "tumour"}],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"


def test_coco_outlines_boxes_and_runs_become_instances(tmp_path):
    pytest.importorskip("pycocotools")
    file = write_coco(
        tmp_path,
        [
            {"segmentation": [[2, 2, 10, 2, 10, 10, 2, 10]]},
            {"bbox": [20, 4, 6, 5]},
            {"segmentation": {"size": [20, 40], "counts": [780, 20]}},
        ],
    )
    maps, names = read_coco(file)
    array = maps["a.png"].array[0, 0]
    assert names == ("tumour",)
    assert (array == 1).sum() == 64
    assert (array[4:9, 20:26] == 2).all()
    assert (array[:, 39] == 3).all()


def test_the_smaller_instance_is_on_top(tmp_path):
    pytest.importorskip("pycocotools")
    file = write_coco(tmp_path, [{"bbox": [0, 0, 4, 4]}, {"bbox": [0, 0, 20, 20]}])
    array = read_coco(file)[0]["a.png"].array[0, 0]
    assert (array[:4, :4] == 1).all()
    assert array[10, 10] == 2


@pytest.mark.parametrize("text", ["no json", "{}", '{"images": [], "annotations": [{"image_id": 1}]}'])
def test_what_is_no_coco_is_refused(tmp_path, text):
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read as COCO annotations"):
        read_coco(tmp_path / "coco.json")


def test_too_many_instances_are_refused(tmp_path):
    file = write_coco(tmp_path, [{"bbox": [0, 0, 1, 1]}] * 255)
    with pytest.raises(InputError, match="has 255 instances"):
        read_coco(file)
