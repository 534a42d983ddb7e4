"""Where jobs of a panel are computed: the device, this computer or a scheduler, and the agreement to send scans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _


def fill_device_combo(combo: Any) -> None:
    """Offer the devices."""
    for text, device in (
        (_("Automatic"), "auto"),
        (_("Processor (CPU)"), "cpu"),
        (_("Graphics card (CUDA)"), "cuda"),
        (_("Apple graphics (MPS)"), "mps"),
    ):
        combo.addItem(text, device)


def fill_compute_combo(combo: Any) -> None:
    """Offer the places."""
    for text, place in ((_("This computer"), "local"), (_("Dask scheduler"), "scheduler")):
        combo.addItem(text, place)


def show_scheduler_fields(ui: Any, parameters: Any) -> None:
    """Show schedulerLabel, schedulerEdit and tlsFrame where they matter."""
    remote = parameters.compute == "scheduler"
    for widget in (ui.schedulerLabel, ui.schedulerEdit):
        widget.visible = remote
    ui.tlsFrame.visible = remote and parameters.scheduler.strip().startswith("tls://")


def scheduler_of(parameters: Any) -> str:
    """Address of the scheduler that is chosen; empty for this computer."""
    return str(parameters.scheduler.strip()) if parameters.compute == "scheduler" else ""


def scheduler_options(parameters: Any) -> dict[str, Any]:
    """What the functions of the modules' logic take: scheduler, consent, tlsFiles. Ask for the consent first."""
    scheduler = scheduler_of(parameters)
    return {
        "scheduler": scheduler,
        "consent": bool(scheduler),
        "tlsFiles": (parameters.tlsCa, parameters.tlsCert, parameters.tlsKey),
    }


def agrees_to_send(scheduler: str, what: str, agreed: set[str], ask: Callable[[str, str], bool]) -> bool:
    """Whether the user agrees that scans leave this computer; asked once per address and panel.

    Args:
        scheduler: Address; empty means that nothing leaves.
        what: The whole question, already with the address in it.
        agreed: Addresses that the user agreed to; this adds to it.
        ask: Asks; takes text and title.
    """
    if not scheduler or scheduler in agreed:
        return True
    if not ask(what, _("Scans leave this computer")):
        return False
    agreed.add(scheduler)
    return True
