"""The room works in a Slicer that has none of our packages yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import read_volume, write_volume
from unit.volumes.grids import counted

LIBRARY = Path(__file__).parents[3] / "MaskWhatMatters"
BLOCKED = ("torch", "monai", "transformers", "nibabel", "pydantic", "distributed", "PIL", "scipy", "slicer", "qt")


def test_import_and_nrrd_need_numpy_and_simpleitk_only(tmp_path):
    write_volume(counted(), tmp_path / "v.nrrd")
    code = (
        f"import sys; sys.path.insert(0, {str(LIBRARY)!r})\n"
        f"sys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
        "from MaskWhatMattersLib.volumes import read_volume, orient, resample_to_spacing\n"
        f"print(resample_to_spacing(orient(read_volume({str(tmp_path / 'v.nrrd')!r})), 2.0).orientation)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("RAS", "")


@pytest.mark.parametrize(("package", "name"), [("nibabel", "v.nii.gz"), ("PIL", "v.png")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, name):
    (tmp_path / name).write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"not installed.*pip install"):
        read_volume(tmp_path / name)
