"""DICOM series: order, geometry and modality from the headers."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, orient, read_volume, resample_like
from MaskWhatMattersLib.volumes.dicom import modality_of
from unit.volumes.grids import OBLIQUE, counted, write_series


@pytest.mark.parametrize("affine", [OBLIQUE, np.diag([-0.5, -0.5, 3, 1]), np.diag([0.5, -0.5, 1, 1])])
def test_a_series_comes_back_with_its_grid(tmp_path, affine):
    volume = counted(affine=affine)
    write_series(tmp_path / "ct", volume)
    found = read_volume(tmp_path / "ct")
    # Slices are ordered along their normal, so a left-handed grid comes back right-handed, each voxel at its place.
    assert np.linalg.det(found.affine) > 0
    back = resample_like(found, volume, "nearest", fill=-1)
    np.testing.assert_array_equal(back.array, volume.array)
    assert (found.name, found.modality) == ("ct", "CT")


def test_a_right_handed_series_has_exactly_its_affine(tmp_path):
    volume = counted()
    write_series(tmp_path, volume)
    np.testing.assert_allclose(read_volume(tmp_path).affine, volume.affine, atol=1e-4)


def test_simpleitk_sees_the_same_grid(tmp_path):
    write_series(tmp_path, counted())
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = sitk.ReadImage(names)
    ours = read_volume(tmp_path)
    np.testing.assert_array_equal(ours.array[0], sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(ours.origin_ras, np.multiply(image.GetOrigin(), (-1, -1, 1)), atol=1e-4)


@pytest.mark.parametrize(("tag", "modality"), [("CT", "CT"), ("MR", "MR"), ("PT", "other"), ("DX", "XR"), ("CR", "XR")])
def test_the_modality_is_the_one_of_the_header(tmp_path, tag, modality):
    write_series(tmp_path, counted(depth=1), modality=tag)
    assert read_volume(tmp_path).modality == modality


def test_the_user_knows_better_than_the_header(tmp_path):
    write_series(tmp_path, counted(), modality="OT")
    assert read_volume(tmp_path, modality="MR").modality == "MR"


def test_several_series_are_refused_and_listed(tmp_path):
    write_series(tmp_path, counted(), series="1.1")
    write_series(tmp_path, counted(depth=3), series="1.2", modality="MR")
    with pytest.raises(InputError, match=r"found 2: CT series 1\.1 \(4 files.*MR series 1\.2 \(3 files"):
        read_volume(tmp_path)


def test_one_file_names_its_series(tmp_path):
    write_series(tmp_path, counted(), series="1.1")
    wanted = write_series(tmp_path, counted(depth=3), series="1.2")
    assert read_volume(wanted[1]).spatial_shape == (3, 5, 6)


def test_a_missing_slice_is_noticed(tmp_path):
    write_series(tmp_path, counted(depth=6))[2].unlink()
    with pytest.raises(GeometryError, match=r"2\.500 to 5\.000 mm.*missing"):
        read_volume(tmp_path)


def test_a_tilted_gantry_is_a_shear(tmp_path):
    write_series(tmp_path, counted(), shift_mm=0.5)
    with pytest.raises(GeometryError, match="sheared"):
        read_volume(tmp_path)


def test_several_frames_at_one_place_are_four_dimensions(tmp_path):
    volume = counted()
    write_series(tmp_path, volume)
    for number, path in enumerate(write_series(tmp_path / "again", volume)):
        path.rename(tmp_path / f"again{number}.dcm")
    (tmp_path / "again").rmdir()
    with pytest.raises(InputError, match="8 slices at 4 places"):
        read_volume(tmp_path)


def test_slices_of_several_directions_are_refused(tmp_path):
    write_series(tmp_path, counted())
    turned = orient(counted(), "ASL")
    for number, path in enumerate(write_series(tmp_path / "b", Volume(turned.array, turned.affine))):
        path.rename(tmp_path / f"b{number}.dcm")
    with pytest.raises(GeometryError, match="several directions"):
        read_volume(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(InputError, match="no DICOM files"):
        read_volume(tmp_path)


def test_a_truncated_slice_is_refused(tmp_path):
    path = write_series(tmp_path, counted(depth=3, height=64, width=64))[1]
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be read as DICOM"):
        read_volume(tmp_path)


def test_films_are_no_stack_of_slices(tmp_path):
    write_series(tmp_path, counted(depth=3), modality="CR")  # GDCM writes no position for this modality
    with pytest.raises(GeometryError, match="must say where it lies"):
        read_volume(tmp_path)


@pytest.mark.parametrize("position", ["1.5", "1.5\\2", "a\\b\\c"])
def test_a_position_that_is_no_three_numbers_is_refused(tmp_path, position):
    affine = np.eye(4)
    affine[:3, 3] = -111.125, -222.125, 0
    for path in write_series(tmp_path, counted(affine=affine)):
        content = path.read_bytes()
        assert b"111.125\\222.125" in content
        path.write_bytes(
            content.replace(b"111.125\\222.125", position.encode().ljust(15)).replace(b"     \\", b"      ")
        )
    with pytest.raises(GeometryError, match="3 numbers"):
        read_volume(tmp_path)


def test_a_film_without_orientation_lies_as_a_frontal_picture(tmp_path):
    image = sitk.GetImageFromArray(np.arange(12, dtype=np.uint16).reshape(3, 4))
    image.SetSpacing((0.2, 0.1))
    image.SetMetaData("0008|0060", "DX")
    sitk.WriteImage(image, str(tmp_path / "film.dcm"))
    volume = read_volume(tmp_path / "film.dcm")
    assert volume.array.shape == (1, 1, 3, 4)
    assert (volume.modality, volume.orientation, volume.has_physical_scale) == ("XR", "LIP", True)


def test_hounsfield_units_come_from_slope_and_intercept(tmp_path):
    write_series(tmp_path, counted(), **{"0028|1052": "-1024", "0028|1053": "1"})
    assert read_volume(tmp_path).array.min() == pytest.approx(0)


def test_descriptions_in_broken_characters_do_no_harm(tmp_path):
    for path in write_series(tmp_path, counted(), **{"0008|103e": "Schaedel"}):
        path.write_bytes(path.read_bytes().replace(b"Schaedel", b"Sch\xe4del "))
    write_series(tmp_path, counted(), series="9")
    with pytest.raises(InputError, match="found 2") as caught:
        read_volume(tmp_path)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    ("code", "word"),
    [("CT", "CT"), ("DX ", "XR"), ("PT", "other"), ("US", "other"), ("", None), (None, None), ("OT", None)],
)
def test_a_modality_that_is_not_ours_is_known_to_be_another(code, word):
    assert modality_of(code) == word
