"""Reading and writing: every format gives back what it was given, or says why not."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, read_volume, to_ras, write_volume
from unit.volumes.grids import OBLIQUE, counted, full_disk, volumes

FORMATS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


@pytest.mark.parametrize("suffix", FORMATS)
@given(volume=volumes(dtypes=DTYPES))
def test_a_round_trip_is_exact_over_512_voxels(suffix, volume):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{suffix}"
        write_volume(volume, path)
        back = read_volume(path)
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype
    far = (511 * np.indices((2, 2, 2)).reshape(3, -1)).T
    np.testing.assert_allclose(to_ras(far, back.affine), to_ras(far, volume.affine), atol=1e-4, rtol=0)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("channels", [2, 3, 5])
def test_several_channels_come_back_in_their_order(tmp_path, suffix, channels):
    volume = Volume(np.arange(channels * 24, dtype=np.float32).reshape(channels, 2, 3, 4), OBLIQUE)
    write_volume(volume, tmp_path / f"v{suffix}")
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}").array, volume.array)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("dtype", "stored"), [("bool", "uint8"), ("float16", "float32"), (">i2", "int16")])
def test_types_that_files_do_not_know_keep_their_values(tmp_path, suffix, dtype, stored):
    volume = Volume(np.arange(8).reshape(1, 2, 2, 2).astype(dtype), OBLIQUE)
    write_volume(volume, tmp_path / f"v{suffix}")
    back = read_volume(tmp_path / f"v{suffix}")
    assert back.array.dtype == stored
    np.testing.assert_array_equal(back.array, volume.array)


@pytest.mark.parametrize("suffix", FORMATS)
def test_simpleitk_sees_the_same_grid(tmp_path, suffix):
    volume = counted()
    write_volume(volume, tmp_path / f"v{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"v{suffix}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array[0])
    corner = np.multiply(image.TransformIndexToPhysicalPoint((5, 4, 3)), (-1, -1, 1))
    np.testing.assert_allclose(corner, to_ras((5, 4, 3), volume.affine), atol=1e-4)


def test_a_volume_is_named_after_its_file_and_takes_the_modality_given(tmp_path):
    write_volume(counted(name="other"), tmp_path / "scan.7.nii.gz")
    volume = read_volume(tmp_path / "scan.7.nii.gz", modality="CT")
    assert (volume.name, volume.modality, volume.has_physical_scale) == ("scan.7", "CT", True)


def test_two_files_that_differ_in_their_ending_do_not_mix(tmp_path):
    """SimpleITK reads the voxels of x.nii for x.nii.gz when both exist."""
    for number, suffix in enumerate(FORMATS):
        write_volume(counted().with_array(np.full((1, 4, 5, 6), number, np.uint8)), tmp_path / f"x{suffix}")
    for number, suffix in enumerate(FORMATS):
        assert read_volume(tmp_path / f"x{suffix}").array.max() == number


def test_a_2d_image_becomes_one_slice(tmp_path):
    image = sitk.GetImageFromArray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    image.SetSpacing((0.5, 0.25))
    sitk.WriteImage(image, str(tmp_path / "flat.mha"))
    volume = read_volume(tmp_path / "flat.mha")
    assert volume.array.tolist() == [[[[0, 1, 2], [3, 4, 5]]]]
    assert volume.spacing_mm == (0.5, 0.25, 1.0)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_time_series_is_refused_with_its_number_of_frames(tmp_path, suffix):
    sitk.WriteImage(sitk.Image([5, 4, 3, 7], sitk.sitkInt16), str(tmp_path / f"t{suffix}"))
    with pytest.raises(InputError, match=r"7 frames of 5 x 4 x 3 voxels.*Extract one frame"):
        read_volume(tmp_path / f"t{suffix}")


def test_a_time_series_of_one_frame_is_a_volume(tmp_path):
    sitk.WriteImage(sitk.Image([5, 4, 3, 1], sitk.sitkInt16), str(tmp_path / "t.mha"))
    assert read_volume(tmp_path / "t.mha").spatial_shape == (3, 4, 5)


def test_complex_numbers_are_refused(tmp_path):
    sitk.WriteImage(sitk.Image([5, 4, 3], sitk.sitkComplexFloat32), str(tmp_path / "c.nrrd"))
    with pytest.raises(InputError, match="magnitude"):
        read_volume(tmp_path / "c.nrrd")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_sheared_grid_is_refused(tmp_path, suffix):
    image = sitk.Image([5, 4, 3], sitk.sitkInt16)
    image.SetDirection((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / f"s{suffix}"))
    with pytest.raises(GeometryError, match="sheared"):
        read_volume(tmp_path / f"s{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_nan_is_refused_or_replaced(tmp_path, suffix):
    volume = Volume(np.array([1, np.nan, np.inf, 4], np.float32).reshape(1, 1, 2, 2), OBLIQUE)
    write_volume(volume, tmp_path / f"n{suffix}")
    with pytest.raises(InputError, match="found 2 of 4"):
        read_volume(tmp_path / f"n{suffix}")
    assert read_volume(tmp_path / f"n{suffix}", replace_nan=-1).array.ravel().tolist() == [1, -1, -1, 4]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path, suffix, keep):
    array = np.random.default_rng(0).integers(-1000, 1000, (1, 16, 16, 16)).astype(np.int16)
    write_volume(Volume(array, OBLIQUE), tmp_path / f"t{suffix}")
    path = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(InputError, match=r"again from its source"):
        read_volume(tmp_path / f"t{suffix}")


@pytest.mark.parametrize("suffix", [*FORMATS, ".png", ".jpg", ".dcm"])
def test_a_file_that_is_no_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("This is a letter, not an image. " * 100)
    with pytest.raises(InputError, match=rf"notes{suffix}"):
        read_volume(path)


@pytest.mark.parametrize("name", ["missing.nii.gz", "missing", "no/folder/x.nrrd"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match="does not exist"):
        read_volume(tmp_path / name)


def test_a_header_without_its_data_file_is_refused(tmp_path):
    write_volume(counted(), tmp_path / "v.mhd")
    (tmp_path / "v.zraw").unlink()
    with pytest.raises(InputError, match="data file is missing"):
        read_volume(tmp_path / "v.mhd")


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "v.stl").write_text("solid")
    with pytest.raises(InputError, match=r"\.nii\.gz, \.nrrd"):
        read_volume(tmp_path / "v.stl")


@pytest.mark.parametrize("name", ["v.png", "v.txt", "v", ".nii.gz"])
def test_only_formats_that_keep_the_place_are_written(tmp_path, name):
    with pytest.raises(InputError, match=r"Use \.nii\.gz"):
        write_volume(counted(), tmp_path / name)


def test_writing_into_a_missing_folder_names_it(tmp_path):
    with pytest.raises(InputError, match="missing does not exist"):
        write_volume(counted(), tmp_path / "missing" / "v.nrrd")


def test_writing_over_a_folder_is_refused(tmp_path):
    (tmp_path / "v.nrrd").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_volume(counted(), tmp_path / "v.nrrd")


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    # The administrator may write everywhere but into the kernel's own folder.
    folder = Path("/proc/self") if os.geteuid() == 0 else tmp_path
    if folder == tmp_path:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InputError, match=rf"could not be written to the folder {folder}"):
        write_volume(counted(), folder / "v.nrrd")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    write_volume(counted(), tmp_path / f"v{suffix}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    noise = np.random.default_rng(0).normal(size=(1, 64, 64, 64)).astype(np.float32)
    with full_disk(at_most_bytes=100_000), pytest.raises(InputError, match="could not be written"):
        write_volume(Volume(noise, OBLIQUE), tmp_path / f"v{suffix}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_header_never_stands_without_its_data(tmp_path):
    (tmp_path / "v.zraw").mkdir()  # in the way of the data file
    with pytest.raises(InputError, match="could not be written"):
        write_volume(counted(), tmp_path / "v.mhd")
    assert [path.name for path in tmp_path.iterdir()] == ["v.zraw"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_writing_twice_replaces_the_file(tmp_path, suffix):
    write_volume(counted(depth=9), tmp_path / f"v{suffix}")
    write_volume(counted(), tmp_path / f"v{suffix}")
    assert read_volume(tmp_path / f"v{suffix}").spatial_shape == (4, 5, 6)


@given(st.sampled_from(FORMATS), st.text("äöü 你好 ()'", min_size=1, max_size=12).filter(lambda text: text.strip()))
def test_names_in_any_script_work(suffix, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"v{name}{suffix}"
        write_volume(counted(), path)
        assert read_volume(path).name == f"v{name}"
