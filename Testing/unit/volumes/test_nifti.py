"""NIfTI headers as other programs write them."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, read_volume, to_ras, write_volume
from unit.volumes.grids import OBLIQUE


def save(path, data=None, affine=OBLIQUE, sform=1, qform=1, **header):
    data = np.zeros((3, 4, 5), np.int16) if data is None else data
    image = nibabel.Nifti1Image(data, None, dtype=data.dtype)
    image.set_qform(affine, code=qform, strip_shears=True)
    image.set_sform(affine, code=sform)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def with_sform_row(path, row):
    """The first row of the sform as a broken program would write it; nibabel itself would correct it."""
    content = bytearray(path.read_bytes())
    content[280:296] = np.asarray(row, np.float32).tobytes()
    path.write_bytes(content)
    return path


def corner_of_simpleitk(path):
    point = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint((2, 3, 4))
    return np.multiply(point, (-1, -1, 1))


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 1), (4, 4), (0, 0)])
def test_the_grid_is_the_one_that_slicer_sees(tmp_path, sform, qform):
    path = save(tmp_path / "x.nii", sform=sform, qform=qform)
    np.testing.assert_allclose(to_ras((2, 3, 4), read_volume(path).affine), corner_of_simpleitk(path), atol=1e-3)


@pytest.mark.parametrize(("unit", "mm"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0)])
def test_units_other_than_millimetres_are_converted(tmp_path, unit, mm):
    path = save(tmp_path / "x.nii", affine=np.diag([2.0, 3, 4, 1]), xyzt_units=unit)
    assert read_volume(path).spacing_mm == pytest.approx((2 * mm, 3 * mm, 4 * mm))


def test_a_sheared_sform_is_refused_and_not_made_orthogonal(tmp_path):
    affine = OBLIQUE.copy()
    affine[:3, 0] += 0.1 * affine[:3, 2]
    with pytest.raises(GeometryError, match=r"x\.nii.*sheared"):
        read_volume(save(tmp_path / "x.nii", affine=affine))


def test_a_sform_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(GeometryError, match="not finite"):
        read_volume(with_sform_row(save(tmp_path / "x.nii"), (np.nan, 0, 0, 0)))


def test_a_voxel_without_size_is_refused(tmp_path):
    with pytest.raises(GeometryError, match="no size"):
        read_volume(with_sform_row(save(tmp_path / "x.nii", affine=np.eye(4)), (0, 0, 0, 0)))


def test_a_time_series_is_refused_with_its_number_of_frames(tmp_path):
    path = save(tmp_path / "x.nii.gz", np.zeros((3, 4, 5, 30), np.int16))
    with pytest.raises(InputError, match="30 frames of 3 x 4 x 5 voxels"):
        read_volume(path)


@pytest.mark.parametrize(("shape", "channels"), [((3, 4, 5, 1), 1), ((3, 4, 5, 1, 2), 2), ((3, 4), 1), ((3,), 1)])
def test_dimensions_of_one_are_dropped_and_the_fifth_holds_channels(tmp_path, shape, channels):
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    volume = read_volume(save(tmp_path / "x.nii", data))
    assert volume.channels == channels
    assert volume.array[0, 0, 0, 2] == data[(2, *(0 for _ in shape[1:]))]


def test_more_than_five_dimensions_are_refused(tmp_path):
    with pytest.raises(InputError, match="6 dimensions"):
        read_volume(save(tmp_path / "x.nii", np.zeros((2, 2, 2, 1, 1, 3), np.int16)))


def test_colour_becomes_three_channels(tmp_path):
    data = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    data["G"][1, 2, 3] = 200
    volume = read_volume(save(tmp_path / "x.nii", data))
    assert volume.array.shape == (3, 4, 3, 2)
    assert volume.array[:, 3, 2, 1].tolist() == [0, 200, 0]


def test_scaled_integers_become_float32(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[0, 10, 20]]], np.int16), OBLIQUE)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    assert volume.array.dtype == np.float32
    assert volume.array.ravel().tolist() == [-3, 2, 7]


def test_big_endian_files_are_read(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), 258, ">i2"), OBLIQUE, header), tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    assert volume.array.dtype.isnative
    assert np.unique(volume.array).tolist() == [258]


FAR = OBLIQUE + np.array([[0, 0, 0, 3000.0123456789], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_a_grid_too_large_for_float32_comes_back_exactly(tmp_path):
    write_volume(Volume(np.zeros((1, 2, 2, 900), np.uint8), FAR), tmp_path / "x.nii")
    assert np.abs(FAR - FAR.astype(np.float32)).max() > 1e-4
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").affine, FAR)


def test_a_header_that_another_program_changed_counts_before_our_note(tmp_path):
    write_volume(Volume(np.zeros((1, 2, 2, 900), np.uint8), FAR), tmp_path / "x.nii")
    image = nibabel.load(tmp_path / "x.nii")
    image.set_sform(OBLIQUE, code=1)
    nibabel.save(image, tmp_path / "y.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "y.nii").affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize(("code", "text"), [(6, b"a comment"), (6, b"[1]"), (4, b"<xml/>")])
def test_notes_of_other_programs_are_ignored(tmp_path, code, text):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text))
    nibabel.save(image, tmp_path / "x.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").affine, np.eye(4))


def test_an_axis_too_long_for_the_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"32767.*\.nrrd"):
        write_volume(Volume(np.zeros((1, 1, 1, 40_000), np.uint8), np.eye(4)), tmp_path / "x.nii")


def test_a_brain_template_keeps_its_grid(tmp_path, data_folder):
    path = next(data_folder.glob("hippocampus_mr/**/*.nii.gz"))
    volume = read_volume(path)
    write_volume(volume, tmp_path / "copy.nrrd")
    copy = read_volume(tmp_path / "copy.nrrd")
    np.testing.assert_array_equal(copy.array, volume.array)
    np.testing.assert_allclose(copy.affine, nibabel.load(path).affine, atol=1e-5)
