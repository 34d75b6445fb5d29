"""Which models look at a camera's pictures."""

from __future__ import annotations

from collections.abc import Sequence

from vms.ai.regions import TASKS, Extra
from vms.contracts.analysis import KnownModel
from vms.contracts.inference import ModelShelf
from vms.domain.analysis import AnalysisSettings, Anomaly
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest


class ModelChoice:
    """By a camera's settings and what is installed. `default`: the installation's detector, by name; None: the
    shelf's."""

    def __init__(self, shelf: ModelShelf, default: str | None) -> None:
        self._shelf = shelf
        self._default = default

    def detector(self, settings: AnalysisSettings) -> str:
        """Raises Failure for one that cannot be had, with what to do."""
        name = settings.detector or self._default
        if name is not None:
            manifest = self._shelf.get(name).manifest
            if manifest.task != "detect":
                raise Failure(
                    "invalid", f"the model {name} is for {manifest.task}, it is no detector", code="no-detector"
                )
            return manifest.name
        default = self._shelf.default("detect")
        if default is None:
            raise Failure(
                "not_found", "no detector is installed: run `vms models list`, then `vms models install NAME`"
            )
        return self._shelf.get(default.manifest.name).manifest.name

    def extras(self, settings: AnalysisSettings) -> dict[Extra, str]:
        """The models that look closer, of those extras for which there is one."""
        found = {extra: self._shelf.default(TASKS[extra]) for extra in settings.extras}
        return {extra: model.manifest.name for extra, model in found.items() if model is not None}

    def unusual(self, camera_id: str, settings: AnalysisSettings) -> str | None:
        """The model that was trained on the camera's usual pictures, where a rule asks for it."""
        if not any(isinstance(rule, Anomaly) and rule.enabled for rule in settings.rules):
            return None
        name = f"anomaly-{camera_id}"
        return name if any(model.manifest.name == name for model in self._shelf.models()) else None

    def known(self, catalogue: Sequence[ModelManifest]) -> Sequence[KnownModel]:
        """What is installed or can be, by name."""
        installed = {model.manifest.name: model.manifest for model in self._shelf.models()}
        known = {manifest.name: manifest for manifest in catalogue} | installed
        defaults = {task: self._shelf.default(task) for task in {manifest.task for manifest in known.values()}}
        names = {model.manifest.name for model in defaults.values() if model is not None}
        if self._default is not None:
            names = {name for name in names if known[name].task != "detect"} | {self._default}
        return [KnownModel(known[name], name in installed, name in names) for name in sorted(known)]
