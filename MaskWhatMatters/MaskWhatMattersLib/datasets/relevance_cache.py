"""What localizers said about images, kept on disk, so that nobody asks twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.models.places import find_model
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume
from MaskWhatMattersLib.volumes.files import free_space

_SUFFIX = ".relevance"
_FORMAT = 1
_LEVELS = 255
_FIELDS = ("prompt", "verdict", "score", "message", "localizer", "model_version", "concept", "threshold", "seconds")


def default_cache_folder() -> Path:
    """The user's folder for relevance; it may not exist yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "MaskWhatMatters" / "relevance"


def localizer_version(localizer: str, model: str | None = None) -> str:
    """What changes when a localizer would answer otherwise: name, size and time of its model's files.

    Args:
        localizer: Registry name.
        model: Its model, name, file or folder; its own when None.
    """
    path = Path(model) if model is not None and Path(model).exists() else None
    if path is None:
        with contextlib.suppress(InputError):
            path = find_model(model or localizer)
    if path is None:
        return model or ""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    facts = [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    return f"{path.name} {hashlib.blake2b(repr(facts).encode(), digest_size=8).hexdigest()}"


class RelevanceCache:
    """One file for each image, prompt, localizer and version of its model.

    Relevance is kept in 255 steps. Files are written aside and renamed, so that a killed process leaves none half
    written, and several processes may share a folder.

    Args:
        folder: Where the files lie; made when the first one is written. None: that of the user.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache_folder()

    def get_or_compute(
        self,
        volume: Volume,
        prompts: Sequence[str],
        localizer: str,
        model_version: str,
        compute: Callable[[list[str]], Sequence[RelevanceMap]],
    ) -> list[RelevanceMap]:
        """Relevance for each prompt, in their order; the same whether it was kept or is new.

        Args:
            volume: Image that is asked about; its voxels, affine and modality count, not its name.
            prompts: In the user's words.
            localizer: Registry name.
            model_version: Whatever changes when the answers would.
            compute: Called once with the prompts that are not kept yet, if there are any.

        Raises:
            InputError: An answer cannot be written, for example to a full disk.
        """
        place = self._place(volume)
        paths = {prompt: self._path(place, prompt, localizer, model_version) for prompt in prompts}
        found = {prompt: self._read(path, volume) for prompt, path in paths.items()}
        unknown = [prompt for prompt, answer in found.items() if answer is None]
        if unknown:
            for prompt, new in zip(unknown, compute(unknown), strict=True):
                levels = np.rint(np.clip(new.volume.array, 0, 1) * _LEVELS).astype(np.uint8)
                self._write(paths[prompt], new, levels)
                found[prompt] = _answer({name: getattr(new, name) for name in _FIELDS}, levels, volume)
        return [answer for prompt in prompts if (answer := found[prompt]) is not None]

    def size(self) -> int:
        """Bytes of all kept answers."""
        return sum(path.stat().st_size for path in self._files())

    def clear(self) -> int:
        """Forget everything.

        Returns:
            Bytes that became free.

        Raises:
            InputError: A file cannot be deleted.
        """
        freed = 0
        try:
            for path in list(self._files()):
                freed += path.stat().st_size
                path.unlink()
        except OSError as error:
            raise InputError(f"{error.filename} cannot be deleted ({error.strerror}). Close what uses it.") from error
        return freed

    def _files(self) -> Iterator[Path]:
        return self.folder.glob(f"*/*{_SUFFIX}*")

    def _place(self, volume: Volume) -> str:
        """The same for the same image, whatever it is called."""
        about = [volume.array.shape, volume.array.dtype.str, volume.modality, volume.has_physical_scale]
        digest = hashlib.blake2b(repr(about).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(volume.affine.round(6) + 0.0).data)
        digest.update(np.ascontiguousarray(volume.array).data)
        return digest.hexdigest()

    def _path(self, place: str, prompt: str, localizer: str, model_version: str) -> Path:
        question = json.dumps([_FORMAT, prompt, localizer, model_version]).encode()
        name = hashlib.blake2b(place.encode() + question, digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name}{_SUFFIX}"

    def _read(self, path: Path, volume: Volume) -> RelevanceMap | None:
        """A kept answer; None where there is none, or none that can be read."""
        try:
            head, _, packed = path.read_bytes().partition(b"\n")
            fields = json.loads(head)
            levels = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(1, *volume.spatial_shape)
            return _answer({name: fields[name] for name in _FIELDS}, levels, volume)
        except (OSError, ValueError, KeyError, TypeError, zlib.error):
            return None

    def _write(self, path: Path, answer: RelevanceMap, levels: NDArray[np.uint8]) -> None:
        head = json.dumps({name: getattr(answer, name) for name in _FIELDS}).encode()
        aside: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", suffix=_SUFFIX, delete=False) as file:
                aside = Path(file.name)
                file.write(head + b"\n" + zlib.compress(levels.tobytes(), 1))
            os.replace(aside, path)
        except OSError as error:
            if aside is not None:
                with contextlib.suppress(OSError):
                    aside.unlink(missing_ok=True)
            raise InputError(
                f"Relevance could not be kept in {self.folder} ({error.strerror}; {free_space(path.parent)}). Free "
                "some space, empty the cache, or choose another folder for it (--cache)."
            ) from error


def _answer(fields: dict[str, object], levels: NDArray[np.uint8], volume: Volume) -> RelevanceMap:
    relevance = levels.astype(np.float32)
    relevance /= _LEVELS
    return RelevanceMap(volume=volume.with_array(relevance), **fields)  # type: ignore[arg-type]
