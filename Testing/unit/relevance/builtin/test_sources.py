"""What the labels of the data sets mean."""

import numpy as np
import torch

from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.builtin.sources import (
    CONCEPTS,
    IGNORED,
    MIRRORED,
    SOURCES,
    labels_from_boxes,
    load_cases,
    lookup_table,
)
from phantoms import write_data_folder


def cases(tmp_path, permissive_only=False, split="train"):
    return load_cases(write_data_folder(tmp_path), split, permissive_only=permissive_only, progress=SilentProgress())


def test_every_label_names_known_concepts_and_none_is_impossible_in_its_own_set():
    for source in SOURCES:
        named = {name for names in source.labels.values() for name in names}
        assert named <= set(CONCEPTS)
        assert not named & source.impossible


def test_mirroring_twice_is_the_identity():
    assert all(MIRRORED[MIRRORED[name]] == name for name in MIRRORED)


def test_only_permissive_sets_are_read_when_asked(tmp_path):
    names = {case.source.name for case in cases(tmp_path, permissive_only=True)}
    assert "left_atrium" not in names
    assert "hippocampus_mr" in names
    assert not any("no_tumor" in case.row.note for case in cases(tmp_path / "b", permissive_only=True))


def test_val_is_never_read_as_train(tmp_path):
    assert {case.row.split for case in cases(tmp_path)} == {"train"}


def test_one_lung_label_becomes_the_patients_right_and_left(tmp_path):
    case = next(case for case in cases(tmp_path) if case.source.name.startswith("chest_xray"))
    columns = {
        side: float((case.labels[0] == code).nonzero()[:, 1].float().mean()) for side, code in (("r", 1), ("l", 2))
    }
    assert columns["r"] < columns["l"]
    assert case.known[0, CONCEPTS.index("left lung")]
    assert not case.known[0, CONCEPTS.index("liver")]


def test_a_picture_without_a_tumour_says_so(tmp_path):
    healthy = next(case for case in cases(tmp_path) if "no_tumor" in case.row.note)
    assert healthy.known[0, CONCEPTS.index("brain tumor")]
    assert not (healthy.labels > 0).any()


def test_a_box_has_a_core_a_rim_that_is_unknown_and_background():
    labels = labels_from_boxes("glioma; boxes(xc,yc,w,h)=[[0.5,0.25,0.4,0.3]]", (100, 200))
    assert labels[25, 100] == 1
    assert labels[25, 100 + 38] == IGNORED
    assert labels[25, 100 + 60] == 0
    ellipse = labels_from_boxes("glioma; boxes(xc,yc,w,h)=[[0.5,0.25,0.4,0.3]]", (100, 200), rim=False)
    assert np.isclose((ellipse == 1).sum(), np.pi * 40 * 15, rtol=0.02)


def test_a_structure_that_was_not_contoured_is_unknown(tmp_path):
    atrium = next(case for case in cases(tmp_path) if case.source.name == "left_atrium")
    known = {name for column, name in enumerate(CONCEPTS) if atrium.known[:, column].any()}
    assert "left atrium" in known
    assert "brain tumor" in known  # impossible there, so known to be absent
    assert "left ventricle" not in known


def test_the_lookup_table_puts_a_label_into_all_its_concepts():
    table = lookup_table(next(source for source in SOURCES if source.name == "hippocampus_mr"))
    assert {CONCEPTS[k] for k in torch.nonzero(table[2]).flatten()} == {"hippocampus", "posterior hippocampus"}
    assert not table[0].any()


def test_real_patients_are_in_one_split_only(data_folder):
    rows = [row for row in read_manifest(data_folder) if row.dataset == "acdc_cardiac_mr"]
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.image.name.split("_")[0], set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
