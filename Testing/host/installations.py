"""Stand-ins for everything that would change the Python environment or use the network: asked, recorded, not done."""

from __future__ import annotations

import importlib.metadata
import types
from dataclasses import dataclass, field
from typing import Any

import slicer
from packaging.requirements import InvalidRequirement, Requirement

from .dialogs import Dialogs


@dataclass
class Installations:
    """What was asked for, in order; `pretend_installed` and `pretend_missing` overrule what is really there."""

    requested: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pretend_missing: set[str] = field(default_factory=set)
    pretend_installed: set[str] = field(default_factory=set)
    torch_installed: bool = True

    def clear(self) -> None:
        self.__init__()


def make_packaging(dialogs: Dialogs, installations: Installations) -> types.ModuleType:
    """The module slicer.packaging: pip_check looks for real, pip_ensure asks, and what is accepted is only recorded."""
    module = types.ModuleType("slicer.packaging")

    def pip_check(req: Any, _seen: Any = None) -> bool:
        return all(_satisfied(requirement, installations) for requirement in _requirements(req))

    def pip_install(requirements: Any, **options: Any) -> None:
        wanted = [str(requirement) for requirement in _requirements(requirements)]
        installations.calls.append(("pip_install", {"requirements": wanted, **options}))
        installations.requested += wanted
        for requirement in _requirements(requirements):
            installations.pretend_missing.discard(requirement.name)
            installations.pretend_installed.add(requirement.name)
        if options.get("completedCallback"):
            options["completedCallback"](0)

    def pip_ensure(
        requirements: Any,
        constraints: Any = None,
        skip_packages: list[str] | None = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> list[str] | None:
        missing = [requirement for requirement in _requirements(requirements) if not pip_check([requirement])]
        installations.calls.append(
            ("pip_ensure", {"missing": [str(m) for m in missing], "constraints": constraints, "requester": requester})
        )
        if not missing or (skip_in_testing and slicer.app.testingEnabled()):
            return None
        if prompt_install:
            title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
            text = f"{len(missing)} Python packages need to be installed."
            details = "\n".join(str(requirement) for requirement in missing)
            if not accepted(dialogs.ask("installation", title, text, "cancel", details)):
                raise RuntimeError("User declined package installation")
        pip_install([str(requirement) for requirement in missing], constraints=constraints, skip_packages=skip_packages)
        return [] if skip_packages else None

    def load_requirements(path: Any) -> list[Requirement]:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        return [Requirement(line) for line in lines if line and line[0] not in "#-"]

    def load_pyproject_dependencies(path: Any) -> list[Requirement]:
        import tomllib

        with open(path, "rb") as file:
            project = tomllib.load(file)["project"]
        return [Requirement(line) for line in project.get("dependencies", [])]

    module.pip_check, module.pip_install, module.pip_ensure = pip_check, pip_install, pip_ensure
    module.pip_uninstall = lambda requirements: installations.calls.append(("pip_uninstall", {"args": requirements}))
    module.load_requirements, module.load_pyproject_dependencies = load_requirements, load_pyproject_dependencies
    module.isPipInstallInProgress = lambda: False
    return module


def make_torch_utils(dialogs: Dialogs, installations: Installations) -> types.ModuleType:
    """The PyTorch extension's module PyTorchUtils."""
    module = types.ModuleType("PyTorchUtils")

    class PyTorchUtilsLogic:
        def torchInstalled(self) -> bool:
            return installations.torch_installed

        def installTorch(
            self,
            askConfirmation: bool = False,
            forceComputationBackend: str | None = None,
            torchVersionRequirement: str | None = None,
            torchvisionVersionRequirement: str | None = None,
        ) -> Any:
            installations.calls.append(("installTorch", {"version": torchVersionRequirement}))
            if askConfirmation and not accepted(dialogs.ask("installation", "PyTorch", "Install PyTorch?", "cancel")):
                return None
            installations.requested.append("torch" + (torchVersionRequirement or ""))
            installations.torch_installed = True
            return types.SimpleNamespace(__version__="0")

        @property
        def torch(self) -> Any:
            return types.SimpleNamespace(__version__="0") if installations.torch_installed else self.installTorch()

    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    return module


def make_sample_data() -> types.ModuleType:
    """Slicer's SampleData module: sources are registered, nothing is downloaded."""
    module = types.ModuleType("SampleData")
    module.sources = []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(category: str = "Custom", sampleName: str = "", **options: Any) -> None:
            module.sources.append({"category": category, "sampleName": sampleName, **options})

        def downloadSample(self, sampleName: str) -> Any:
            raise RuntimeError(f"The test host has no network, so the sample '{sampleName}' cannot be loaded")

    module.SampleDataLogic = SampleDataLogic
    return module


def accepted(answer: Any) -> bool:
    return str(answer).lower() in ("ok", "yes", "true", "accept")


def _requirements(given: Any) -> list[Requirement]:
    if isinstance(given, str):
        try:
            return [Requirement(given)]
        except InvalidRequirement:
            given = given.split()
    elif isinstance(given, Requirement):
        given = [given]
    return [Requirement(item) if isinstance(item, str) else item for item in given]


def _satisfied(requirement: Requirement, installations: Installations) -> bool:
    if requirement.name in installations.pretend_missing:
        return False
    if requirement.name in installations.pretend_installed:
        return True
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return importlib.metadata.version(requirement.name) in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        return False
