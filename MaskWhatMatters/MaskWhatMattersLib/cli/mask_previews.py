"""The work of `whatmatters masks`: check what was typed, run one job per image, write pictures and a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_output, find_scans
from MaskWhatMattersLib.cli.prompts import check_localizer, check_prompts
from MaskWhatMattersLib.cli.result_files import ResultFolder, write_json
from MaskWhatMattersLib.config_files import checked_settings, merged, read_toml
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.mask_preview_job import MaskPreviewSpec
from MaskWhatMattersLib.masking.config import MaskingConfig, RegionConfig
from MaskWhatMattersLib.volumes.paths import PICTURES, suffix_of

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.mask_preview_job import MaskPreview
    from MaskWhatMattersLib.volumes import Volume

_REPORT = "report.json"
_PATCH = 16


class _Settings(BaseModel):
    """What the tables of a pretraining's settings file say about masks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    masking: MaskingConfig
    region: RegionConfig = RegionConfig()
    preprocessing: ImagePreprocessing = ImagePreprocessing()


def preview_masks(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names in `masks.add_parser`.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    as_json, quiet = given["json"], given["quiet"]
    inputs, output = given["inputs"], given["output"]
    settings, dims = _read_settings(given)
    _check_region(settings.region)
    by_dims: dict[int, list[Scan]] = {}
    for scan in find_scans(inputs, "masks"):
        by_dims.setdefault(dims or _dims_of(scan), []).append(scan)
    specs = {wanted: _spec(settings, wanted, given) for wanted in by_dims}
    check_output(output, inputs)
    results = _Results(output, settings.region)
    stream = sys.stderr if as_json else sys.stdout
    try:
        total = sum(map(len, by_dims.values()))
        with make_display(total, quiet=quiet, verbose=given["verbose"], stream=stream) as display:
            for wanted, scans in by_dims.items():
                run_batch(scans, Batch(specs[wanted], (), results.add, results.fail), Place(), display)
    finally:
        results.close()
    if as_json:
        print(json.dumps(results.entries, indent=2))
    if not quiet:
        print(results.summary(), file=stream)
    return SOME_FAILED if results.failed else DONE


class _Results:
    """Writes the picture of each image as it is done, and the report at the end.

    Args:
        output: Folder of the results; exists.
        region: Where regions come from.
    """

    def __init__(self, output: Path, region: RegionConfig) -> None:
        self.output, self.region = output, region
        self.entries: list[dict[str, Any]] = []
        self.failed = 0
        with ResultFolder(output) as folder:
            folder.stage(_REPORT)  # before any work: the name must be ours to use

    def add(self, scan: Scan, volume: Volume, preview: MaskPreview) -> Iterator[str]:
        """Write the picture of one image; gives the line to show."""
        name = f"{scan.name}_masked.png"
        with ResultFolder(self.output / scan.folder) as folder:
            folder.stage(name).write_bytes(preview.png)
            folder.commit()
        figures = {
            key: _rounded(getattr(preview, key)) for key in ("ratio", "inside", "outside", "position", "seconds")
        }
        self._enter(
            scan,
            picture=(scan.folder / name).as_posix(),
            verdict="found" if preview.relevant_tokens else "absent",
            message=preview.message,
            tokens=preview.tokens,
            relevant_tokens=preview.relevant_tokens,
            cached=preview.cached,
            **figures,
            error=None,
        )
        took = f" ({'cached' if preview.cached else f'{preview.seconds:.1f} s'})" if self.region.prompts else ""
        yield f"{scan.path}: {preview.message}{took}"

    def fail(self, scan: Scan, text: str) -> None:
        """Note that an image could not be processed."""
        self.failed += 1
        self._enter(scan, verdict=None, error=text)

    def close(self) -> None:
        """Write the report, as far as the run got."""
        if self.entries:
            with ResultFolder(self.output) as folder:
                write_json(self.entries, folder.stage(_REPORT))
                folder.commit()

    def summary(self) -> str:
        """A line or two for the end of the run."""
        done = [entry for entry in self.entries if not entry["error"]]
        parts = [f"{len(done)} done"]
        if self.region.prompts:
            known = sum(entry["cached"] for entry in done)
            parts += [f"{known} of them cached"] if known else []
            without = sum(entry["verdict"] == "absent" for entry in done)
            parts += [f"{without} without a region"] if without else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return f"{', '.join(parts)}. See {_REPORT} and the pictures in {self.output}. Not for clinical use."

    def _enter(self, scan: Scan, **facts: Any) -> None:
        prompt = ", ".join(self.region.prompts)
        self.entries.append({"input": str(scan.path), "prompt": prompt, "localizer": self.region.localizer, **facts})


def _read_settings(given: dict[str, Any]) -> tuple[_Settings, int | None]:
    """Settings of the file under those that were typed, and the dimensions where either says them."""
    config = given.get("config")
    values = read_toml(config) if config is not None else {}
    tables = {name: values[name] for name in _Settings.model_fields if name in values}
    typed = {
        name: {field: given[field] for field in model.model_fields if field in given}
        for name, model in (("masking", MaskingConfig), ("region", RegionConfig))
    }
    if "prompts" in typed["region"]:
        typed["region"]["source"] = "prompts"
    together = merged(merged({"masking": {"kind": "relevance"}}, tables), typed)
    settings = checked_settings(_Settings, together, source=str(config) if config is not None else "settings")
    if settings.masking.kind == "relevance" and settings.region.source != "prompts":
        raise InputError(
            "Masking by relevance needs to know what matters, and no prompt was given. Add --prompt TEXT, or choose "
            "--masking random."
        )
    written = tables.get("preprocessing", {}).get("spatial_dims")
    return settings, given.get("dims", written)


def _check_region(region: RegionConfig) -> None:
    """See that prompts and localizer can work before any image is read."""
    if region.source != "prompts":
        return
    if region.localizer == "roi":
        raise InputError('The localizer "roi" shows a region of one image. Choose one that finds prompts: builtin.')
    check_localizer(region.localizer, model=region.model)
    check_prompts(region.prompts, region.localizer)


def _spec(settings: _Settings, dims: int, given: dict[str, Any]) -> MaskPreviewSpec:
    typed: dict[str, Any] = {name: given[name] for name in ("position", "seed", "cache", "device") if name in given}
    if "size" in given:
        typed["size"] = _per_axis(given["size"], dims)
    return MaskPreviewSpec(
        masking=settings.masking,
        region=settings.region,
        preprocessing=settings.preprocessing.model_copy(update={"spatial_dims": dims}),
        patch_size=_per_axis(given.get("patch_size", (_PATCH,)), dims),
        original=True,
        **typed,
    )


def _per_axis(sides: Sequence[int], dims: int) -> tuple[int, ...]:
    """One number for all axes, or the numbers as they are."""
    return tuple(sides) * dims if len(sides) == 1 else tuple(sides)


def _dims_of(scan: Scan) -> int:
    return 2 if suffix_of(scan.path) in PICTURES else 3


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
