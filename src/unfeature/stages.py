"""The first stages of a run: sample, label, find the direction.

Each stage of a run reads what the one before it wrote and writes what the next one reads.
"""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor

from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.files import (
    atomic,
    load_tensors,
    save_tensors,
    write_json,
)
from unfeature.adapters.sources import Calibration, load_labeler, load_source
from unfeature.config import Experiment, TargetConfig
from unfeature.diagnostics import Diagnosis, diagnose
from unfeature.errors import UserError, Waiting
from unfeature.evaluate.counterfactual import require_faces
from unfeature.examination import choose_extractor, load_closer, load_examiner
from unfeature.folder import RunFolder
from unfeature.generator import Generator, draw
from unfeature.keeper import require_keeper
from unfeature.labelers.base import Labeler, differentiable
from unfeature.labelers.sheet import read_answers, sheets_identity, write_sheets
from unfeature.labels import LatentSet, label, sample_seeds
from unfeature.panel import make_panel, save_panel
from unfeature.pictures import grid, png
from unfeature.progress import Progress
from unfeature.target import TargetVector


def sample_stage(run: RunFolder, progress: Progress) -> None:
    """Draw the latents to be labelled, and a page of their pictures.

    Raises:
        UserError: something in the settings is misnamed or does not take such pictures; what is
            needed only after training is tried now, too.
    """
    began = time.perf_counter()
    experiment = run.experiment()
    examiner = load_examiner(experiment.evaluate)
    original = load_source(experiment.generator)
    load_closer(experiment.evaluate, original, seed=experiment.calibration_seed)
    seeds = sample_seeds(experiment.label.n, experiment.seed, "label")
    latents = original.latents_from_seeds(seeds.tolist())
    save_tensors(run.path / "samples.safetensors", {"seeds": seeds, "latents": latents})
    pictures = draw(original, latents[:100])
    require_keeper(experiment, pictures[:2], examiner)
    for later in (examiner, choose_extractor(experiment, original)):
        if later is not None:
            later(pictures[:2])
    if experiment.evaluate.counterfactual:
        require_faces(original)
    require_fitting(experiment, original)
    page = grid(pictures, 10)
    with atomic(run.path / "samples.png") as temporary:
        temporary.write_bytes(png(page, zoom=2))
    progress.say(f"sampled {len(seeds)} latents; a first look: {run.path / 'samples.png'}")
    run.finish("sample", began)


def label_stage(run: RunFolder, progress: Progress) -> LatentSet:
    """Label the sampled latents' pictures, and choose who opens the gate and who judges.

    Raises:
        UserError: a person is to label and has not yet; the message says what to do.
    """
    run.require("sample")
    began = time.perf_counter()
    experiment = run.experiment()
    original = load_source(experiment.generator)
    calibration = Calibration(original, seed=experiment.calibration_seed)
    seeds = load_tensors(run.path / "samples.safetensors")["seeds"]
    if experiment.label.by == "sheet":
        gate = None
        labels = _label_by_person(run, experiment, original, seeds)
    else:
        gate = load_labeler(experiment.label, calibration)
        require_slope(experiment, gate, original)
        labels = label(
            original,
            seeds=seeds,
            by=gate,
            feature=experiment.feature,
            unsure=experiment.label.unsure,
        )
    labels.require_both()
    attributes = {}
    for name, config in experiment.attributes.items():
        by = load_labeler(config, calibration, table=f"attributes.{name}")
        attributes[name] = label(original, seeds=labels.seeds, by=by, feature=name)
    panel = make_panel(experiment, original, labels, gate, calibration)
    labels.save(run.labels)  # nothing is written before all is known to be right
    for name, known in attributes.items():
        known.save(run.attributes / name)
    save_panel(panel, run.path / "panel")
    counts = labels.counts
    progress.say(
        f"labelled {len(labels)} pictures: {counts['yes']} yes, {counts['no']} no, "
        f"{counts['unsure']} unsure"
    )
    for note in panel.notes:
        progress.say(note)
    run.finish("label", began)
    return labels


def require_fitting(experiment: Experiment, original: Generator) -> None:
    """Raise where what the training needs late does not fit the generator: `erase.layers` without
    a w for each layer, an encoder of other pictures or latents."""
    erase, latents = experiment.erase, original.latents_from_seeds([0, 1])
    if erase.layers and erase.gate == "image" and erase.path != "line":
        original.per_layer(latents)
    if experiment.encoder is not None:
        encode = encoding(experiment.encoder, original)(load_encoder(experiment.encoder))
        encode(draw(original, latents))


def require_slope(experiment: Experiment, gate: Labeler, original: Generator) -> None:
    """Raise where a setting needs the labeller's gradient and it has none."""
    if not experiment.needs_slope:
        return
    if not differentiable(gate, draw(original, original.latents_from_seeds([0, 1]))):
        avoidable = experiment.needs_slope.startswith(("erase.path", "erase.refine"))
        line = " (erase.path = 'line' needs none)" if avoidable else ""
        raise UserError(
            f"{experiment.needs_slope} needs the labeller's gradient, but '{gate.name}' cannot "
            f"be differentiated; do without{line}"
        )


def _label_by_person(
    run: RunFolder, experiment: Experiment, original: Generator, seeds: Tensor
) -> LatentSet:
    own = run.sheets / "answers.txt"
    answers = Path(experiment.label.answers) if experiment.label.answers else own
    identity = sheets_identity(original.fingerprint, seeds)
    if not own.exists():
        latents = original.latents_from_seeds(seeds.tolist())
        images = draw(original, latents)
        write_sheets(images, run.sheets, feature=experiment.feature, identity=identity)
        if answers == own:
            raise Waiting(
                f"contact sheets are in '{run.sheets}': fill in '{own}', then "
                f"'unfeature label {run.path}' again"
            )
    labels, seen, who = read_answers(answers, len(seeds), identity=identity)
    kept = seen.nonzero().squeeze(1)
    return LatentSet(
        latents=original.latents_from_seeds(seeds[kept].tolist()),
        labels=labels[kept],
        scores=labels[kept].float(),
        seeds=seeds[kept],
        feature=experiment.feature,
        labeled_by=f"{who} on contact sheets",
        generator=original.fingerprint,
    )


def target_stage(run: RunFolder, progress: Progress) -> Diagnosis:
    """Fit the direction and say what training on it would mean."""
    run.require("label")
    began = time.perf_counter()
    experiment = run.experiment()
    labels = LatentSet.load(run.labels).require_generator(load_source(experiment.generator))
    attributes = load_attributes(run, experiment)
    fit = partial(_fitted, attributes=attributes, settings=experiment.target)
    target = fit(labels)
    target.save(run.target)
    diagnosis = diagnose(
        labels,
        target,
        attributes=attributes,
        recall=experiment.erase.recall,
        fit=lambda some: fit(some).direction,
        seed=experiment.seed,
    )
    write_json(run.path / "diagnosis.json", asdict(diagnosis))
    run.finish("target", began)
    return diagnosis


def fit_target(run: RunFolder, experiment: Experiment, labels: LatentSet) -> TargetVector:
    """The direction that the settings ask for; protected attributes are those of the run."""
    return _fitted(labels, load_attributes(run, experiment), experiment.target)


def _fitted(
    labels: LatentSet, attributes: dict[str, LatentSet], settings: TargetConfig
) -> TargetVector:
    return TargetVector.fit(
        labels,
        method=settings.method,
        protect={name: attributes[name] for name in settings.protect},
        regularization=settings.regularization,
    )


def load_attributes(run: RunFolder, experiment: Experiment) -> dict[str, LatentSet]:
    return {name: LatentSet.load(run.attributes / name) for name in experiment.attributes}
