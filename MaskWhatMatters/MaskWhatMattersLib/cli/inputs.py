"""What to work on: files and folders from the command line, each with the place where its results go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from MaskWhatMattersLib.cli.names import distinct
from MaskWhatMattersLib.errors import InputError


@dataclass(frozen=True)
class Scan:
    """One image to process.

    Attributes:
        path: The file, or a folder that holds one DICOM series.
        folder: Where its results go, relative to the output folder.
        name: How its results begin.
    """

    path: Path
    folder: Path
    name: str


def find_scans(inputs: Sequence[Path], command: str = "relevance") -> list[Scan]:
    """Every image named by the inputs; folders are searched recursively and keep their structure.

    Args:
        inputs: Files and folders.
        command: Named in the message.

    Raises:
        InputError: An input does not exist, or a folder holds no image; all such problems at once.
    """
    from MaskWhatMattersLib.volumes import base_name, find_volume_paths

    problems: list[str] = []
    found: dict[Path, tuple[Path, str]] = {}  # resolved path -> (folder, name); a file named twice is processed once
    shown: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            paths = find_volume_paths(given)
            if not paths:
                problems.append(f"{given} holds no image that can be read (NIfTI, NRRD, MetaImage, DICOM, PNG, JPEG).")
        elif given.exists():
            paths = [given]
        else:
            problems.append(f"{given} does not exist.")
            continue
        for path in paths:
            folder = path.parent.relative_to(given) if given.is_dir() and path != given else Path()
            found.setdefault(path.resolve(), (folder, base_name(path)))
            shown.setdefault(path.resolve(), path)
    if problems:
        raise InputError(" ".join(problems) + f" Check the paths after `whatmatters {command}`.")
    return _with_distinct_names(found, shown)


def _with_distinct_names(found: dict[Path, tuple[Path, str]], shown: dict[Path, Path]) -> list[Scan]:
    """Keep scan.nrrd and scan.nii.gz, or a/scan.nii.gz and b/scan.nii.gz, from writing to the same files."""
    by_folder: dict[str, dict[str, str]] = {}
    for path, (folder, name) in found.items():
        by_folder.setdefault(folder.as_posix().casefold(), {})[str(path)] = name
    names = {identity: name for group in by_folder.values() for identity, name in distinct(group).items()}
    return [Scan(shown[path], folder, names[str(path)]) for path, (folder, _) in found.items()]


def check_apart(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output folder in which a result could take the name of an input.

    Raises:
        InputError: It is, holds or lies in an input folder, or an input file lies directly in it.
    """
    place = output.resolve()
    for given in inputs:
        folder = given.resolve() if given.is_dir() else given.resolve().parent
        relation = ""
        if place == folder:
            relation = "is the input folder" if given.is_dir() else "is the folder of the input"
        elif given.is_dir() and folder in place.parents:
            relation = "lies inside the input folder"
        elif given.is_dir() and place in folder.parents:
            relation = "holds the input folder"
        if relation:
            raise InputError(
                f"The output folder {output} {relation} {given}, where results could replace scans or become inputs of "
                "the next run. Choose a folder apart from it, for example a new one."
            )


def check_output(output: Path, inputs: Sequence[Path]) -> None:
    """Make the output folder and see that results can be written there.

    Raises:
        InputError: It is or lies inside an input folder, is no folder, or cannot be written to.
    """
    place = output.resolve()
    for given in inputs:
        folder = given.resolve()
        if given.is_dir() and (place == folder or folder in place.parents):
            raise InputError(
                f"The output folder {output} lies inside the input folder {given}, so results would become inputs of "
                "the next run. Choose a folder outside it."
            )
    advice = "Choose a folder that you may write to, on a disk with free space."
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".whatmatters-probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if not output.is_dir():
            what = f"The output folder {output} cannot be made"
        else:
            what = f"The output folder {output} cannot be written to"
        raise InputError(f"{what}: {error.strerror or error}. {advice}") from error


def check_kept_names(scans: Sequence[Scan], kept: Sequence[str]) -> None:
    """Refuse scans whose label map would have the name of a further map that is kept of another scan.

    Args:
        scans: All of them.
        kept: What the names of the further maps end in.

    Raises:
        InputError: Two files would have one name.
    """
    taken = {(scan.folder, scan.name.casefold()): scan.path for scan in scans}
    for scan in scans:
        for kind in kept:
            other = taken.get((scan.folder, f"{scan.name}_{kind}".casefold()))
            if other is not None:
                raise InputError(
                    f"{scan.path} and {other} would both give {scan.name}_{kind}.nii.gz. Rename one of them, or leave "
                    "--keep out."
                )
