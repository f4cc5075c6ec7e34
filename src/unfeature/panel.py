"""Who is asked during a run: one labeller opens the gate, another judges the result."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from unfeature.adapters.files import read_json, write_json
from unfeature.adapters.pretrained import load_classifier, save_classifier
from unfeature.adapters.sources import Calibration, load_judge, load_labeler
from unfeature.config import Experiment
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import ClassifierLabeler, same_classifier
from unfeature.labelers.distil import Distilled, distil
from unfeature.labelers.function import FunctionLabeler
from unfeature.labels import LEAST, LatentSet
from unfeature.references import resolve
from unfeature.seeds import rng

GATE_SHARE = 0.6
"""Of labels that are distilled: the share the gate's classifier sees; the judge's sees the rest."""


@dataclass(frozen=True)
class Panel:
    """The gate's labeller, the judge, and what a reader should know of them.

    A function judges what it labelled, since it defines the feature. A classifier never does.
    """

    gate: Labeler
    judge: Labeler
    notes: tuple[str, ...]


def make_panel(
    experiment: Experiment,
    original: Generator,
    labels: LatentSet,
    gate: Labeler | None,
    calibration: Calibration,
) -> Panel:
    """Gate and judge for one run.

    Args:
        labels: what was labelled; distilled into classifiers where nobody else can be asked.
        gate: the labeller that gave the labels, or None for a person.
        calibration: for a judge that the settings name.

    Raises:
        UserError: the judge named in the settings is the classifier that labelled.
    """
    notes: list[str] = []
    named = experiment.evaluate.judge
    shares = [GATE_SHARE] if gate is None else []
    if named is None and not isinstance(gate, FunctionLabeler):
        shares.append(1 - GATE_SHARE)
    if shares:  # each part is to have enough of both
        labels.require_both(math.ceil(LEAST / min(shares)))
    for_gate, for_judge = labels.split(GATE_SHARE, rng(experiment.seed, "panel"))
    if gate is None:
        recall = experiment.erase.recall
        made = distil(for_gate, original, architecture="lenet", recall=recall, seed=experiment.seed)
        gate = made.labeler
        notes.append(_note("Gate", made))
    if named is not None:
        judge = load_labeler(named, calibration, table="evaluate.judge")
        if same_classifier(gate, judge):
            raise UserError(
                f"evaluate.judge is the classifier that labelled ('{named.classifier}'); "
                "name another, or leave it out to have one distilled"
            )
        return Panel(gate, judge, tuple(notes))
    if isinstance(gate, FunctionLabeler):
        return Panel(gate, gate, tuple(notes))
    made = distil(for_judge, original, architecture="linear", seed=experiment.seed)
    notes.append(_note("Judge", made))
    return Panel(gate, made.labeler, tuple(notes))


def _note(role: str, made: Distilled) -> str:
    return (
        f"{role}: a {made.architecture} classifier distilled from {made.trained_on} labels"
        f"{' and their latents' if made.guided else ''}; "
        f"balanced accuracy {made.accuracy:.1%} on {made.held_out} held-out ones."
    )


def save_panel(panel: Panel, folder: Path) -> None:
    """Write everything needed to ask the same two again."""
    described = {
        role: _describe(labeler, folder / role)
        for role, labeler in (("gate", panel.gate), ("judge", panel.judge))
    }
    write_json(folder / "panel.json", {**described, "notes": list(panel.notes)})


def load_panel(folder: Path) -> Panel:
    """What `save_panel` wrote."""
    values = read_json(folder / "panel.json")
    gate = _revive(values["gate"], folder / "gate")
    judge = _revive(values["judge"], folder / "judge")
    return Panel(gate, judge, tuple(values["notes"]))


def _describe(labeler: Labeler, folder: Path) -> dict[str, Any]:
    if isinstance(labeler, FunctionLabeler):
        fields = asdict(replace(labeler, fn=_nothing))
        del fields["fn"]
        return {"kind": "function", **fields}
    assert isinstance(labeler, ClassifierLabeler)
    fields = {
        "reference": labeler.reference,
        "target": labeler.target,
        "threshold": labeler.threshold,
        "temperature": labeler.temperature,
        "target_name": labeler.target_name,
    }
    if labeler.reference.startswith("distilled "):
        assert isinstance(labeler.module, nn.Module)
        architecture = labeler.reference.split()[1]
        options = {"classes": 2, "channels": _channels(labeler.module)}
        save_classifier(labeler.module, folder, architecture=architecture, options=options)
        return {"kind": "distilled", **fields}
    return {"kind": "classifier", **fields}


def _revive(values: dict[str, Any], folder: Path) -> Labeler:
    fields = {key: value for key, value in values.items() if key != "kind"}
    if values["kind"] == "function":
        fn = resolve(values["reference"], setting="label.function")
        return FunctionLabeler(fn=fn, **fields)
    if values["kind"] == "distilled":
        return ClassifierLabeler(load_classifier(folder)[0], **fields)
    # an index is as good as a name, and is known even where no name was given
    return replace(load_judge(values["reference"], target=str(values["target"])), **fields)


def _channels(module: nn.Module) -> int:
    first = next(p for p in module.parameters() if p.ndim > 1)
    if first.ndim == 4:
        return first.shape[1]
    side: int = module.side  # type: ignore[assignment]
    return first.shape[1] // side**2


def _nothing(images: Any) -> Any:
    return images
