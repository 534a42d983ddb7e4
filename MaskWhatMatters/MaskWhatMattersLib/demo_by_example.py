"""The step of the demonstration that segments one scan as another one shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from MaskWhatMattersLib.errors import InputError

DATASET = "chaos_abdomen_mr_t2"
NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


def by_example(data: Path, model: str | None = None) -> str:
    """Segment an abdominal MR of the labelled scans by one other as the example; what came of it, in lines.

    Args:
        data: Folder of labelled scans.
        model: Name or file; the default one when None.

    Returns:
        "" where the scans are not at hand.
    """
    from MaskWhatMattersLib.datasets.manifest import read_manifest
    from MaskWhatMattersLib.evaluation.overlap import dice
    from MaskWhatMattersLib.mass.examples import example_from_label_map
    from MaskWhatMattersLib.mass.segment import InContextSegmenter
    from MaskWhatMattersLib.volumes import read_volume

    rows = [row for row in read_manifest(data) if row.dataset == DATASET]
    reference = next((row for row in rows if row.split == "train" and row.label_map is not None), None)
    target = next((row for row in rows if row.split == "test" and row.label_map is not None), None)
    if reference is None or target is None or reference.label_map is None or target.label_map is None:
        return ""
    try:
        segmenter = InContextSegmenter.load(model)
        example = example_from_label_map(
            read_volume(reference.image, modality="MR"), read_volume(reference.label_map), NAMES
        )
        result = segmenter.segment(read_volume(target.image, modality="MR"), segmenter.encode([example]))
    except InputError as error:
        return f"Nothing was segmented by example: {error}"
    truth = read_volume(target.label_map).array
    lines = [f"Abdominal MR by the example of one other (MASS, {result.model}), {result.seconds:.0f} s:"]
    for found in sorted(result.labels, key=lambda each: each.quality if np.isfinite(each.quality) else 2.0):
        mask = result.label_map.array == found.label.value
        lines.append(
            f"  {found.label.name}: {found.volume_ml:.0f} mL, estimated quality {found.quality:.2f}, "
            f"Dice against the manual label {dice(mask, truth == found.label.value):.2f}"
        )
    return "\n".join(lines)
