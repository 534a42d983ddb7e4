"""PNG and JPEG pictures as one slice."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import read_volume, to_ras, write_volume

GREY = np.add.outer(np.arange(20), np.arange(30)).astype(np.uint8)


def saved(path, array, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options) if mode is None else Image.fromarray(array).convert(mode).save(
        path, **options
    )
    return path


def test_a_grey_picture_is_one_slice_without_physical_scale(tmp_path):
    volume = read_volume(saved(tmp_path / "film.png", GREY))
    np.testing.assert_array_equal(volume.array, GREY[np.newaxis, np.newaxis])
    assert (volume.name, volume.has_physical_scale, volume.is_single_slice) == ("film", False, True)
    assert volume.spacing_mm == (1.0, 1.0, 1.0)


def test_the_left_of_a_picture_is_the_right_of_the_patient_and_its_top_the_head(tmp_path):
    volume = read_volume(saved(tmp_path / "film.png", GREY))
    left_top, right_bottom = to_ras([(0, 0, 0), (29, 19, 0)], volume.affine)
    assert left_top[0] > right_bottom[0]
    assert left_top[2] > right_bottom[2]
    assert np.linalg.det(volume.affine) > 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "CMYK", "YCbCr"])
def test_grey_stored_in_colour_is_accepted(tmp_path, mode):
    suffix = ".jpg" if mode in ("CMYK", "YCbCr") else ".png"
    volume = read_volume(saved(tmp_path / f"film{suffix}", GREY, mode))
    assert np.abs(volume.array[0, 0].astype(int) - GREY).max() <= 4


def test_a_jpeg_of_a_grey_film_is_accepted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    volume = read_volume(saved(tmp_path / "film.jpeg", np.stack([noise] * 3, -1), quality=60))
    assert volume.array.dtype == np.uint8


def test_a_small_coloured_mark_does_no_harm(tmp_path):
    array = np.stack([np.full((100, 100), 90, np.uint8)] * 3, -1)
    array[:5, :5] = (255, 0, 0)
    assert read_volume(saved(tmp_path / "film.png", array)).channels == 1


def test_true_colour_is_refused(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    with pytest.raises(InputError, match=r"photo\.png.*true colour"):
        read_volume(saved(tmp_path / "photo.png", array))


def test_sixteen_bits_are_kept(tmp_path):
    array = GREY.astype(np.uint16) * 1000
    volume = read_volume(saved(tmp_path / "film.png", array))
    np.testing.assert_array_equal(volume.array[0, 0], array)


def test_black_and_white_becomes_numbers(tmp_path):
    volume = read_volume(saved(tmp_path / "mask.png", GREY > 20, "1"))
    assert set(np.unique(volume.array)) == {0, 1}
    assert volume.array.dtype == np.uint8


def test_the_rotation_mark_of_a_jpeg_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "film.jpg", GREY, exif=exif)
    assert read_volume(path).spatial_shape == (1, 30, 20)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = saved(tmp_path / f"film{suffix}", noise)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_volume(path)


def test_a_result_on_a_picture_is_written_as_nifti(tmp_path):
    volume = read_volume(saved(tmp_path / "film.png", GREY))
    write_volume(volume, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "mask.nii.gz").array, volume.array)


def test_real_films_are_grey(data_folder):
    paths = sorted(data_folder.glob("chest_xray_*/**/*.png"))[:20] + sorted(data_folder.glob("**/*.jpg"))[:20]
    assert paths
    for path in paths:
        assert read_volume(path).channels == 1
