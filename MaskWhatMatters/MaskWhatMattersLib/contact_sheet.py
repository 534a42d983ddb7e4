"""A picture of many results at a glance: per image one row, per prompt the slice where the relevance is largest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib import __version__
from MaskWhatMattersLib.display_slices import DisplaySlices
from MaskWhatMattersLib.volumes import CT_WINDOWS, Volume, percentile_window, window

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap

SOFTWARE = f"whatmatters {__version__}"
_TILE = 224  # pixels
_CAPTION = 34
_TITLE = 20
_GAP = 6
_PER_LINE = 6
_BACKGROUND = (24, 24, 27)
_TEXT = (228, 228, 231)
_FAINT = (150, 150, 158)
_OUTLINE = (255, 235, 60)
# Black body colours: dark red, orange, yellow; told apart by brightness alone too.
_HEAT = np.array([[90, 0, 0], [190, 30, 0], [240, 110, 0], [255, 200, 50]], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One image with its answers.

    Attributes:
        volume: Scalar image, [1, D, H, W].
        maps: Answers on the same grid, one tile each.
        title: What the row is called; the volume's name when empty.
        threshold: For the outline; each map's own when None.
    """

    volume: Volume
    maps: Sequence[RelevanceMap]
    title: str = ""
    threshold: float | None = None


def contact_sheet(rows: Iterable[SheetRow], path: str | Path) -> None:
    """Draw rows one below the other into a PNG file; see `draw_row`.

    Raises:
        OSError: The file cannot be written.
    """
    save_picture(join_rows([draw_row(row) for row in rows]), Path(path))


def draw_row(row: SheetRow) -> Picture:
    """The tiles of one image under its title, as an RGB picture.

    Shown as radiologists do: the patient's right on the left, anterior or superior on top.
    """
    tiles = [_draw_tile(row.volume, answer, row.threshold) for answer in row.maps]
    lines = [tiles[start : start + _PER_LINE] for start in range(0, len(tiles), _PER_LINE)]
    columns = max((len(line) for line in lines), default=1)
    picture = _canvas(_GAP + columns * (_TILE + _GAP), _TITLE + len(lines) * (_TILE + _CAPTION + _GAP))
    _write(picture, (_GAP, 3), row.title or row.volume.name or "unnamed", _TEXT, picture.width - 2 * _GAP)
    for number, line in enumerate(lines):
        for column, tile in enumerate(line):
            picture.paste(tile, (_GAP + column * (_TILE + _GAP), _TITLE + number * (_TILE + _CAPTION + _GAP)))
    return picture


def join_rows(rows: Sequence[Picture]) -> Picture:
    """Rows one below the other, with the notice that every result carries."""
    width = max([row.width for row in rows] + [2 * _TILE])
    picture = _canvas(width, sum(row.height for row in rows) + _TITLE + _GAP)
    top = _GAP
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    _write(picture, (_GAP, top), f"Not for clinical use. {SOFTWARE}", _FAINT, width - 2 * _GAP)
    return picture


def save_picture(picture: Picture, path: Path) -> None:
    """Write a PNG file that says in its header that we made it."""
    from PIL.PngImagePlugin import PngInfo

    header = PngInfo()
    header.add_text("Software", SOFTWARE)
    picture.save(path, format="PNG", pnginfo=header)


def _draw_tile(volume: Volume, answer: RelevanceMap, threshold: float | None) -> Picture:
    """One slice with its overlay, edge letters and caption."""
    slices, maps = DisplaySlices(volume), DisplaySlices(answer.volume)
    index = _best_index(maps)
    grey, heat = slices.picture(index).astype(np.float32), maps.picture(index)
    size = _fitted(*(length * mm for length, mm in zip(grey.shape, slices.pixel_mm, strict=True)))
    level = answer.threshold if threshold is None else threshold
    pixels = _blend(_windowed(volume, grey, answer), heat, level)
    tile = _canvas(_TILE, _TILE + _CAPTION)
    picture = _from_array(pixels).resize(size, resample=_bilinear())
    tile.paste(picture, ((_TILE - size[0]) // 2, (_TILE - size[1]) // 2))
    if volume.has_physical_scale:  # a picture does not say which way its patient faced
        _write(tile, (3, _TILE // 2 - 6), slices.left, _FAINT, 20)
        _write(tile, (_TILE - 12, _TILE // 2 - 6), slices.right, _FAINT, 20)
    _write(tile, (2, _TILE + 2), answer.prompt, _TEXT, _TILE - 4)
    _write(tile, (2, _TILE + 17), describe(answer, threshold), _FAINT, _TILE - 4)
    return tile


def describe(answer: RelevanceMap, threshold: float | None = None) -> str:
    """Verdict, score and size in a few words, for example "found, score 0.97, 12.3 mL"."""
    if answer.verdict not in ("found", "absent"):
        return {"unknown": "not a known concept", "untrained": "not trained for this kind of image"}[answer.verdict]
    size = answer.volume_ml(threshold) if answer.verdict == "found" else None
    return f"{answer.verdict}, score {answer.score:.2f}" + (f", {size:.1f} mL" if size is not None else "")


def _best_index(maps: DisplaySlices) -> int:
    """The slice with the most relevance; the middle one when there is none."""
    sums = [float(maps.picture(index).sum(dtype=np.float64)) for index in range(len(maps))]
    return int(np.argmax(sums)) if any(sums) else len(sums) // 2


def _windowed(volume: Volume, plane: NDArray[np.float32], answer: RelevanceMap) -> NDArray[np.float32]:
    """Grey values in 0..1, with the CT window that suits what was asked for."""
    plane = np.nan_to_num(plane, posinf=0.0, neginf=0.0)
    if volume.modality == "CT":
        name = "lung" if "lung" in (answer.concept or answer.prompt).lower() else "soft_tissue"
        return window(plane, *CT_WINDOWS[name])
    return percentile_window(plane)


def _blend(grey: NDArray[np.float32], heat: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Relevance in colour over grey, and the border of the mask as a line; [H, W, 3]."""
    base = np.repeat(grey[..., None] * 255.0, 3, axis=2)
    steps = np.clip(heat, 0, 1) * (len(_HEAT) - 1)
    lower = np.minimum(steps.astype(int), len(_HEAT) - 2)
    part = (steps - lower)[..., None]
    colour = _HEAT[lower] * (1 - part) + _HEAT[lower + 1] * part
    opacity = (0.45 * np.clip(heat, 0, 1))[..., None]
    pixels: NDArray[np.uint8] = (base * (1 - opacity) + colour * opacity).astype(np.uint8)
    pixels[_border(heat >= max(threshold, 1e-6))] = _OUTLINE
    return pixels


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the mask with a neighbour outside it."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _fitted(height_mm: float, width_mm: float) -> tuple[int, int]:
    """Width and height in pixels that fill a tile and keep the proportions."""
    scale = _TILE / max(height_mm, width_mm)
    return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


def _canvas(width: int, height: int) -> Picture:
    from PIL import Image

    return Image.new("RGB", (width, height), _BACKGROUND)


def _from_array(pixels: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    return Image.fromarray(pixels)


def _bilinear() -> Any:
    from PIL import Image

    return Image.Resampling.BILINEAR


def _write(picture: Picture, place: tuple[int, int], text: str, colour: tuple[int, int, int], width: int) -> None:
    """One line of text, cut where it would leave the given width."""
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    line = " ".join(text.split())[:200]
    if draw.textlength(line, font=font) > width:
        while line and draw.textlength(line + "…", font=font) > width:
            line = line[:-1]
        line += "…"
    draw.text(place, line, fill=colour, font=font)
