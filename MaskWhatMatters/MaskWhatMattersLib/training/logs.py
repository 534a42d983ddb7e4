"""The log of a training: log.csv, and TensorBoard where it is asked for."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from MaskWhatMattersLib.errors import InputError

LOG = "log.csv"

Row = dict[str, str]


class TrainingLog:
    """One row of numbers per logged step, without gaps or repeats however often the training is killed and resumed.

    Rows after the step of the checkpoint are dropped, since the resumed run writes them again; so is a half-written
    last row. A column that appears later (a validation score, say) is empty in the rows before.

    Args:
        folder: Gets log.csv, and the folder tensorboard.
        step: Steps done; 0 starts a new log.
        tensorboard: Write for TensorBoard too.
        active: False writes nothing: of several processes only the first logs.

    Raises:
        InputError: TensorBoard is asked for and tensorboardX is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0, *, tensorboard: bool = False, active: bool = True) -> None:
        self.file = folder / LOG
        self._active = active
        self._columns: list[str] = []
        self._writer = _tensorboard_writer(folder / "tensorboard", step) if tensorboard and active else None
        if active:
            self._continue_after(step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the row of a step; a second row for the same step is a mistake of the caller.

        Raises:
            InputError: The file cannot be written (disk full, no permission).
        """
        if not self._active:
            return
        row = {"step": str(step), **{name: f"{float(value):.8g}" for name, value in values.items()}}
        if set(row) <= set(self._columns):
            self._write(self.file, [row], "a")
        else:
            rows = [*self._rows(), row]
            self._columns += [name for name in row if name not in self._columns]
            self._replace(rows)
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        """Write out what TensorBoard's writer still holds."""
        if self._writer is not None:
            self._writer.close()

    def _continue_after(self, step: int) -> None:
        if step == 0:
            self.file.unlink(missing_ok=True)
            return
        rows = [row for row in self._rows() if int(row["step"]) <= step]
        if rows:
            self._columns = list(rows[0])
            self._replace(rows)

    def _rows(self) -> list[Row]:
        """Whole rows of the file."""
        if not self.file.is_file():
            return []
        text = self.file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(whole))
        return [row for row in rows if None not in (*row, *row.values()) and row.get("step", "").isdigit()]

    def _replace(self, rows: list[Row]) -> None:
        """Write the whole file, aside first."""
        aside = self.file.with_suffix(".csv.part")
        self._write(aside, [dict(zip(self._columns, self._columns, strict=True)), *rows], "w")
        os.replace(aside, self.file)

    def _write(self, file: Path, rows: Iterable[Row], mode: str) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open(mode, newline="", encoding="utf-8") as lines:
                csv.DictWriter(lines, self._columns, restval="", lineterminator="\n").writerows(rows)
        except OSError as error:
            raise InputError(
                f"The log could not be written to {self.file}: {error}. Free disk space or choose another output "
                "folder, then resume."
            ) from error


class RunningMeans:
    """Means of named values since they were last taken; the sums stay on the device, so adding does not wait for it.

    Part of the state that is saved, so that a resumed run logs the same means.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one scalar per name."""
        for name, value in values.items():
            known = self._sums.get(name)
            value = value.detach().float()
            self._sums[name] = value.clone() if known is None else known.to(value.device) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means; then begin anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Continue from saved sums."""
        self._sums, self._counts = dict(stored["sums"]), dict(stored["counts"])


def _tensorboard_writer(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError as error:
        raise InputError(
            "The log for TensorBoard needs the Python package tensorboardX, which is not installed. Install it (pip "
            "install tensorboardX), or train without TensorBoard: log.csv holds the same numbers."
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
