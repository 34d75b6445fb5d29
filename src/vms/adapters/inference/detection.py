"""What a machine has to run models with: asked in a process of its own, `python -m vms.adapters.inference.detection`,
because a driver that is broken may end whoever asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import cast, get_args

from pydantic import BaseModel, ConfigDict

from vms.contracts.inference import DeviceInfo, DeviceKind
from vms.domain.errors import Failure

_ASKED_WITHIN_S = 120.0
# Pictures that go together: a processor gains nothing from it.
_LARGEST_BATCH = 8
_PROVIDERS: dict[str, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# Of one accelerator, the first that runs there.
_SAME_HARDWARE = (("tensorrt", "cuda"), ("migraphx", "rocm"))


class Tried(BaseModel):
    """A provider on one device of its kind."""

    model_config = ConfigDict(frozen=True)

    kind: str
    # 0, GPU.0
    index: str
    runs: bool
    why: str = ""


class Facts(BaseModel):
    """What the process found."""

    model_config = ConfigDict(frozen=True)

    onnxruntime: str = ""
    providers: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    # OpenVINO by itself: device → its name; or why it is not there.
    openvino: dict[str, str] = {}
    openvino_absent: str = ""
    processor: str = ""


class Found(BaseModel):
    """The devices, and what was asked for and is not there."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[DeviceInfo, ...] = ()
    missing: dict[str, str] = {}


def ask(command: Sequence[str] | None = None) -> Facts:
    """Asks the machine. Raises Failure(unavailable)."""
    asked = list(command or [sys.executable, "-m", "vms.adapters.inference.detection"])
    try:
        answer = subprocess.run(
            asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_ASKED_WITHIN_S, check=True
        )
        return Facts.model_validate_json(answer.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Failure("unavailable", f"asking this machine for its devices failed: {error}") from error


def choose(facts: Facts, wanted: Sequence[str] | None = None, needed_kinds: Iterable[str] = ()) -> Found:
    """Which devices are used, by which back-end, and why.

    `wanted`: ids (`cuda:0`) or kinds (`cuda`); by default the best back-end of each piece of hardware. `needed_kinds`
    are added to that, for models that are bound to them.
    """
    known = _known(facts)
    if wanted is None:
        chosen = _best(known)
    else:
        chosen = [device for device in known if device.id in wanted or device.kind in wanted]
    missing: dict[str, str] = {}
    for asked in (*(wanted or ()), *needed_kinds):
        if not any(asked in {device.id, device.kind} for device in known):
            missing[asked] = _why_not(facts, asked)
    for kind in needed_kinds:
        if not any(device.kind == kind for device in chosen):
            chosen += [device for device in known if device.kind == kind]
    return Found(devices=tuple(chosen), missing=missing)


def _known(facts: Facts) -> list[DeviceInfo]:
    """All, the preferred ones first."""
    found: list[DeviceInfo] = []
    for kind, provider in _PROVIDERS.items():
        for tried in facts.tried:
            if tried.kind == kind and tried.runs:
                found.append(
                    DeviceInfo(
                        id=f"{kind}:{tried.index}" if tried.index else kind,
                        kind=cast(DeviceKind, kind),
                        backend=f"onnxruntime {provider}",
                        reason=f"{provider} runs on it",
                        largest_batch=1 if tried.index == "CPU" else _LARGEST_BATCH,
                    )
                )
    refused = "; ".join(_refusals(facts, _PROVIDERS))
    for device, name in facts.openvino.items():
        found.append(
            DeviceInfo(
                id=f"openvino:{device}",
                kind="openvino",
                name=name,
                backend="openvino",
                reason=(
                    f"openvino is installed, which runs the processor too; {refused}"
                    if device == "CPU"
                    else "openvino runs on it"
                ),
                largest_batch=1 if device == "CPU" else _LARGEST_BATCH,
            )
        )
    if "CPUExecutionProvider" in facts.providers:
        reason = "; ".join(filter(None, (refused, facts.openvino_absent)))
        found.append(
            DeviceInfo(
                id="cpu", kind="cpu", name=facts.processor, backend="onnxruntime CPUExecutionProvider", reason=reason
            )
        )
    unique: dict[str, DeviceInfo] = {}
    for each in found:
        unique.setdefault(each.id, each)
    return list(unique.values())


def _best(known: Sequence[DeviceInfo]) -> list[DeviceInfo]:
    """The first back-end of each piece of hardware."""
    ids = {device.id for device in known}
    best: list[DeviceInfo] = []
    for device in known:
        index = device.id.partition(":")[2]
        hidden = any(device.kind == second and f"{first}:{index}" in ids for first, second in _SAME_HARDWARE) or (
            device.id == "cpu" and "openvino:CPU" in ids
        )
        # Of OpenVINO's devices those that another back-end has not.
        foreign = device.kind == "openvino" and "NVIDIA" in device.name.upper()
        if not hidden and not foreign:
            best.append(device)
    return best


def _refusals(facts: Facts, kinds: Mapping[str, str]) -> list[str]:
    """Why the better ones are not taken."""
    absent = [provider for provider in kinds.values() if provider not in facts.providers]
    sentences = []
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        sentences.append(f"{', '.join(absent)} {verb} not in this build of onnxruntime ({facts.onnxruntime})")
    for kind, provider in kinds.items():
        tried = [each for each in facts.tried if each.kind == kind]
        if tried and not any(each.runs for each in tried):
            sentences.append(f"{provider} does not run: {tried[0].why}")
    return sentences


def _why_not(facts: Facts, asked: str) -> str:
    kind, _, index = asked.partition(":")
    if kind not in get_args(DeviceKind):
        return f"there are no devices of kind {kind}"
    if kind == "openvino" and facts.openvino_absent:
        return facts.openvino_absent
    refused = _refusals(facts, {kind: _PROVIDERS[kind]}) if kind in _PROVIDERS else []
    if refused:
        return refused[0]
    return f"this machine has no {asked}" if index else f"this machine has no device of kind {kind}"


def main() -> None:
    """Asks, in this process, and writes one line."""
    from vms.adapters.inference.machine import facts  # noqa: PLC0415 (the server does without its imports)

    print(json.dumps(facts().model_dump()))  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
