"""Scores of one predicted label map against its truth, label by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.evaluation.components import largest_component
from MaskWhatMattersLib.evaluation.overlap import Mask, dice, jaccard
from MaskWhatMattersLib.evaluation.surface import surface_distances
from MaskWhatMattersLib.volumes import Volume, to_ras

Spacing = Literal["voxel", "mm"]
Empty = Literal["", "prediction", "truth", "both"]

METRICS: dict[Spacing, tuple[str, ...]] = {
    "voxel": ("dice", "jaccard", "hd95_voxel", "asd_voxel"),
    "mm": ("dice", "jaccard", "hd95_mm", "assd_mm", "nsd_1mm", "prediction_ml", "truth_ml", "difference_ml"),
}
"""What is measured: "voxel" as the published left atrium protocol does it (asd is directed from prediction to truth),
"mm" with the real spacing (assd is symmetric, nsd is the surface Dice at a tolerance of 1 mm)."""

FINAL = "final"
"""The checkpoint that counts: the last one of a training."""

_SAME_PLACE_VOXELS = 0.01
_MOST_LABELS = 1000


@dataclass(frozen=True)
class CaseScores:
    """What was measured of one label in one case.

    Attributes:
        case: Name of the case.
        label: Value in the label maps.
        values: By the names in `METRICS`; NaN where a metric is not defined.
        empty: Which of the two masks has no voxel. An empty one has overlap 0 and distances NaN; both empty, all NaN.
        largest_component: Whether only the largest piece of the prediction was kept.
        label_name: What the label means; may be "".
        seed: Which of several trainings made the prediction; may be "".
        checkpoint: Which checkpoint of it.
    """

    case: str
    label: int
    values: Mapping[str, float]
    empty: Empty = ""
    largest_component: bool = False
    label_name: str = ""
    seed: str = ""
    checkpoint: str = FINAL


def score_case(
    prediction: Volume,
    truth: Volume,
    *,
    spacing: Spacing = "mm",
    labels: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    with_largest_component: bool = False,
    case: str = "",
    seed: str = "",
    checkpoint: str = FINAL,
) -> list[CaseScores]:
    """Score every label of one case.

    An axis of one voxel is left out, so that a picture is measured as the plane that it is.

    Args:
        prediction: Label map, [1, D, H, W].
        truth: Label map on the same grid.
        spacing: Which of `METRICS`.
        labels: Values to score; all that the truth holds when None.
        names: What the labels mean.
        with_largest_component: Score a second time with the largest piece of each predicted label alone.
        case: Name in the result; the truth's name when "".
        seed: As in `CaseScores`.
        checkpoint: As in `CaseScores`.

    Raises:
        GeometryError: The grids differ.
        InputError: Not a label map, or millimetres asked of a picture that has none.
    """
    check_same_grid(prediction, truth)
    if spacing == "mm" and not truth.has_physical_scale:
        raise InputError("A picture has no millimetres. Measure it in voxels (--spacing voxel).")
    predicted_map, true_map = label_array(prediction), label_array(truth)
    scores = []
    for label in labels_of(truth) if labels is None else labels:
        predicted, true = predicted_map == label, true_map == label
        whole = _measure(predicted, true, truth, spacing)
        kept = [(False, whole)]
        if with_largest_component:
            piece = largest_component(predicted)
            kept.append((True, whole if piece is predicted else _measure(piece, true, truth, spacing)))
        empty = _which_is_empty(predicted, true)
        name = (names or {}).get(label, "")
        scores += [
            CaseScores(case or truth.name, label, values, empty, is_piece, name, seed, checkpoint)
            for is_piece, values in kept
        ]
    return scores


def check_same_grid(prediction: Volume, truth: Volume) -> None:
    """See that voxels of the same index are the same place, to a hundredth of a voxel.

    Raises:
        GeometryError: They are not.
    """
    advice = (
        "Nothing is resampled here, since that changes the score: write the prediction on the grid of the truth first "
        "(resample_like with nearest neighbour; in Slicer: Resample Scalar/Vector/DWI Volume with the truth as "
        "reference)."
    )
    if prediction.spatial_shape != truth.spatial_shape:
        sizes = [" x ".join(map(str, volume.spatial_shape[::-1])) for volume in (prediction, truth)]
        raise GeometryError(f"The prediction has {sizes[0]} voxels and the truth {sizes[1]}. {advice}")
    corners = np.array(np.meshgrid(*[(0, length - 1) for length in truth.spatial_shape[::-1]])).reshape(3, -1).T
    gap = np.linalg.norm(to_ras(corners, prediction.affine) - to_ras(corners, truth.affine), axis=-1).max()
    if gap > _SAME_PLACE_VOXELS * min(truth.spacing_mm):
        raise GeometryError(
            f"Prediction and truth have {' x '.join(map(str, truth.spatial_shape[::-1]))} voxels each but lie apart: "
            f"a corner by {gap:.3g} mm (spacing {_rounded(prediction.spacing_mm)} and {_rounded(truth.spacing_mm)} mm, "
            f"axes {prediction.orientation} and {truth.orientation}). {advice}"
        )


def labels_of(label_map: Volume) -> tuple[int, ...]:
    """The values other than 0 of a label map, ascending.

    Raises:
        InputError: See `label_array`, or so many values that it is an image.
    """
    values = np.unique(label_array(label_map))
    if values.size > _MOST_LABELS:
        raise InputError(
            f"A label map was expected; found {values.size} different values, as in an image. "
            "Choose the folder that holds the segmentations."
        )
    return tuple(int(value) for value in values if value != 0)


def label_array(label_map: Volume) -> NDArray[Any]:
    """Whole numbers without axes of length 1, in place of [1, D, H, W].

    Raises:
        InputError: More than one channel, or values that are not whole numbers.
    """
    if label_map.channels != 1:
        raise InputError(
            f"A label map has one value per voxel; found {label_map.channels}. Export the segmentation as a label map."
        )
    array: NDArray[Any] = label_map.array[0]
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if not np.array_equal(whole, array):
            raise InputError(
                f"A label map holds whole numbers; found values such as {float(array[whole != array][0]):g}. "
                "Threshold probabilities or choose the folder that holds the segmentations."
            )
        array = whole.astype(np.int64)
    elif array.dtype.kind == "b":
        array = array.view(np.uint8)
    return np.asarray(array.reshape([length for length in array.shape if length > 1] or [1]))


def _measure(predicted: Mask, true: Mask, truth: Volume, spacing: Spacing) -> dict[str, float]:
    """Everything that `METRICS` names, of one pair of masks."""
    volumes = [float(np.count_nonzero(mask) * truth.voxel_volume_ml) for mask in (predicted, true)]
    box = ndimage.find_objects((predicted | true).view(np.uint8), max_label=1)[0]
    if box is not None:
        predicted, true = predicted[box], true[box]
    values = {"dice": dice(predicted, true), "jaccard": jaccard(predicted, true)}
    if spacing == "voxel":
        distances = surface_distances(predicted, true)
        return values | {"hd95_voxel": distances.hausdorff(95), "asd_voxel": distances.directed_mean()}
    lengths = zip(truth.spatial_shape, reversed(truth.spacing_mm), strict=True)
    step_mm = [step for length, step in lengths if length > 1] or [1.0]
    distances = surface_distances(predicted, true, step_mm)
    return values | {
        "hd95_mm": distances.hausdorff(95),
        "assd_mm": distances.symmetric_mean(),
        "nsd_1mm": distances.within(1.0),
        "prediction_ml": volumes[0],
        "truth_ml": volumes[1],
        "difference_ml": volumes[0] - volumes[1],
    }


def _which_is_empty(predicted: Mask, true: Mask) -> Empty:
    found, expected = bool(predicted.any()), bool(true.any())
    if found and expected:
        return ""
    return "prediction" if expected else "truth" if found else "both"


def _rounded(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
