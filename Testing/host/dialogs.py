"""Modal dialogs never block a test: what would be shown is recorded and answered from a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtWidgets

_Button = QtWidgets.QMessageBox.StandardButton
_DECLINING = (_Button.Cancel, _Button.No, _Button.Close, _Button.Abort, _Button.Discard)


@dataclass(frozen=True)
class Dialog:
    """One dialog that a person would have seen."""

    kind: str  # "information", "warning", "critical", "question", "file", "dialog", "installation"
    title: str
    text: str
    details: str = ""
    answer: Any = None


@dataclass
class Dialogs:
    """Record of the dialogs and queue of their answers.

    An answer is a button's name or text ("ok", "cancel", "yes", "Download"), a path for a file dialog, or a function
    that gets the dialog. A question that no answer waits for is declined and kept in `unanswered`.
    """

    shown: list[Dialog] = field(default_factory=list)
    unanswered: list[Dialog] = field(default_factory=list)
    answers: deque[Any] = field(default_factory=deque)

    def clear(self) -> None:
        self.shown.clear()
        self.unanswered.clear()
        self.answers.clear()

    def texts(self, kind: str | None = None) -> list[str]:
        return [dialog.text for dialog in self.shown if kind in (None, dialog.kind)]

    def ask(self, kind: str, title: str, text: str, declined: Any, details: str = "") -> Any:
        """Record a question and give the next scripted answer, or `declined` where there is none."""
        answer = self.answers.popleft() if self.answers else None
        dialog = Dialog(kind, title, text, details, declined if answer is None else answer)
        self.shown.append(dialog)
        if answer is None:
            self.unanswered.append(dialog)
        return dialog.answer


def script_modal_dialogs(dialogs: Dialogs) -> None:
    """Replace everything of Qt that waits for a person."""

    def run_message_box(box: Any, *_: Any) -> int:
        kind = box.icon.name.lower() if hasattr(box.icon, "name") else _kind_of(box.icon)
        # "Show Details..." is a button too, but no answer.
        buttons = [button for button in box.buttons() if box.buttonRole(button) != QtWidgets.QMessageBox.ActionRole]
        if len(buttons) <= 1:
            dialogs.shown.append(Dialog(kind, box.windowTitle.strip(), box.text, box.detailedText, "ok"))
            return _press(box, buttons[0] if buttons else None)
        declining = next((b for b in buttons if box.standardButton(b) in _DECLINING), buttons[-1])
        details = box.informativeText + box.detailedText
        answer = dialogs.ask(kind, box.windowTitle.strip(), box.text, declining, details)
        return _press(box, answer if answer is declining else _button_called(box, answer))

    def run_dialog(dialog: Any, *_: Any) -> int:
        answer = dialogs.answers.popleft() if dialogs.answers else None
        texts = [label.text for label in dialog.findChildren(QtWidgets.QLabel)]
        dialogs.shown.append(Dialog("dialog", dialog.windowTitle, "\n".join(texts), "", answer))
        if callable(answer):
            answer(dialog)
        elif answer is not None:
            dialog.done(int(str(answer).lower() in ("ok", "yes", "accept")))
        return int(dialog.result())

    def static_box(kind: str) -> Callable[..., Any]:
        def show(_parent: Any, title: str, text: str, buttons: Any = _Button.Ok, *_: Any) -> Any:
            box = QtWidgets.QMessageBox()
            box.setIcon(getattr(QtWidgets.QMessageBox.Icon, kind.capitalize()))
            box.setWindowTitle(title)
            box.setText(text)
            box.setStandardButtons(buttons)
            return run_message_box(box)

        return staticmethod(show)

    def file_dialog(several: bool = False) -> Callable[..., Any]:
        def choose(_parent: Any = None, caption: str = "", *_: Any) -> Any:
            return dialogs.ask("file", caption, caption, [] if several else "")  # PythonQt gives no (path, filter) pair

        return staticmethod(choose)

    for cls, run in ((QtWidgets.QDialog, run_dialog), (QtWidgets.QMessageBox, run_message_box)):
        cls.exec = run
        cls.exec_ = run
    for kind in ("information", "warning", "critical", "question"):
        setattr(QtWidgets.QMessageBox, kind, static_box(kind))
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        setattr(QtWidgets.QFileDialog, name, file_dialog())
    QtWidgets.QFileDialog.getOpenFileNames = file_dialog(several=True)
    QtWidgets.QInputDialog.getText = staticmethod(
        lambda _parent, title, label, *_: dialogs.ask("input", title, label, "")
    )


def _kind_of(icon: int) -> str:
    return QtWidgets.QMessageBox.Icon(icon).name.lower()


def _button_called(box: Any, answer: Any) -> Any:
    if callable(answer):
        answer = answer(box)
    wanted = str(answer).lower()
    for button in box.buttons():
        names = (button.text.replace("&", "").lower(), _Button(int(box.standardButton(button))).name.lower())
        if wanted in names:
            return button
    offered = ", ".join(button.text for button in box.buttons())
    raise AssertionError(f"The scripted answer '{answer}' is no button of this box; it offers {offered}: {box.text}")


def _press(box: Any, button: Any) -> int:
    if button is None:
        return 0
    standard = box.standardButton(button)
    button.click()
    return int(standard) if standard else int(box.result())
