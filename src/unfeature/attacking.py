"""`unfeature attack`: a finished run's original and unlearned generator under the same attacks."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.files import write_json
from unfeature.adapters.sources import Calibration, load_both, load_labeler, load_made
from unfeature.attack.encoder import leaked
from unfeature.attack.inversion import inverted
from unfeature.attack.picture_gate import PictureGate
from unfeature.attack.relearning import relearned
from unfeature.attack.siege import Siege
from unfeature.config import EncoderConfig, Experiment
from unfeature.errors import UserError
from unfeature.evaluate.verdict import clean_pictures, judged
from unfeature.examination import choose_extractor, load_closer
from unfeature.folder import RunFolder
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler, differentiable
from unfeature.labelers.classifier import ClassifierLabeler, same_classifier
from unfeature.labelers.distil import distil
from unfeature.labelers.function import same_function
from unfeature.labels import LatentSet, sample_seeds
from unfeature.learning import current_eraser
from unfeature.methods.adversarial import fresh_discriminator
from unfeature.panel import Panel, load_panel
from unfeature.progress import Progress
from unfeature.target import TargetVector

GATE_PICTURES = 4000
FEWEST = 4
"""Pictures with the feature, and without, that an encoder's probe needs."""


def attack_run(
    run: RunFolder,
    progress: Progress | None = None,
    *,
    oracle: Path | None = None,
    also: Mapping[str, Path] | None = None,
    allow_same_judge: bool = False,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Attack original, unlearned and, where there is one, the oracle; write `attack.json`.

    Args:
        also: folders of other generators of the same latents, e.g. what a baseline made, by the
            name they are to have.
        known: what the same attacks found elsewhere, by the generator's name ("original",
            "oracle"); these are not attacked again.

    Raises:
        UserError: the attacker's classifier is the judge and that is not allowed, has no gradient,
            or does not fit.
    """
    run.require("unlearn")
    began = time.perf_counter()
    progress = progress or Progress(quiet=True)
    experiment = run.experiment()
    table = experiment.attack
    generators = _generators(run, experiment, oracle, also)
    original = generators["original"]
    panel = load_panel(run.path / "panel")
    labels = LatentSet.load(run.labels)
    attacker = find_attacker(experiment, panel, labels, original)
    if not differentiable(attacker, draw(original, original.latents_from_seeds([0, 1]))):
        raise UserError(
            f"the attack climbs the gradient of its classifier, and '{attacker.name}' has none; "
            "name another under [attack.classifier]"
        )
    same = _same(attacker, panel.judge)
    if same and not allow_same_judge:
        raise UserError(
            f"the attacker's classifier is the judge ({attacker.name}), so being fooled would "
            "count as success; name another under [attack.classifier], or give --allow-same-judge"
        )
    progress.say(f"attacker: {attacker.name}; judge: {panel.judge.name}")
    pictures = None
    if table.relearn:  # better refused now than after hours
        fresh_discriminator(original.image_shape, experiment.seed)
    if table.inversions or table.relearn or experiment.encoder is not None:
        pictures = _pictures(experiment, original, panel.judge)
    extractor = choose_extractor(experiment, original)
    gate = wanted = None
    if extractor is not None:
        seeds = sample_seeds(GATE_PICTURES, experiment.seed, "gate").tolist()
        gate = PictureGate.of(extractor, draw(original, original.latents_from_seeds(seeds)))
        clean = clean_pictures(original, panel.judge, GATE_PICTURES, seed=experiment.seed)
        wanted, _ = extractor(clean)
    direction = TargetVector.load(run.target).direction
    threshold = getattr(current_eraser(run, experiment, original), "threshold", None)
    closer = load_closer(experiment.evaluate, original, seed=experiment.calibration_seed)
    if closer is not None and _same(attacker, closer):
        progress.say(f"no closer look: {closer.name} is attacked")
        closer = None
    siege = Siege(
        attacker, panel.judge, gate, direction, extractor, wanted, original, threshold, closer
    )
    seeds = sample_seeds(table.n, experiment.seed, "attack").tolist()
    found: dict[str, Any] = {
        "attacker": attacker.name,
        "judge": panel.judge.name,
        **({"closer": closer.name} if closer is not None else {}),
        "same": same,
        "labelled": {
            "judge": _same(panel.judge, panel.gate),
            "attacker": _same(attacker, panel.gate),
        },
        "gated": gate is not None,
        "budget": table.model_dump(exclude={"classifier", "epsilon", "epsilons"}),
        "generators": {},
    }
    for name, generator in generators.items():
        if known and name in known:
            found["generators"][name] = known[name]
            continue
        progress.say(f"attacking the {name}: {table.n} latents")
        found["generators"][name] = siege.of(generator, seeds, table, seed=experiment.seed)
    if pictures is not None:
        if experiment.encoder is not None:
            found["encoder"] = _encoder(run, experiment.encoder, generators, pictures, panel.judge)
        found |= _weights(experiment, pictures, generators, panel.judge, progress)
    found["seconds"] = round(time.perf_counter() - began, 1)
    write_json(run.attack, found)
    return found


def _same(a: Labeler, b: Labeler) -> bool:
    return same_classifier(a, b) or same_function(a, b)


def attack_weights(
    run: RunFolder, progress: Progress, *, oracle: Path | None = None
) -> dict[str, Any]:
    """Only the attacks that do not search the latent space: inversion and relearning, as
    `[attack]` asks for them; nothing is written.

    Raises:
        UserError: it asks for neither, or there are too few pictures with the feature.
    """
    run.require("unlearn")
    experiment = run.experiment()
    if not experiment.attack.inversions and not experiment.attack.relearn:
        raise UserError(
            "[attack] asks for neither inversion nor relearning; set attack.inversions=100 or "
            "attack.relearn=[0,10,100]"
        )
    generators = _generators(run, experiment, oracle)
    judge = load_panel(run.path / "panel").judge
    pictures = _pictures(experiment, generators["original"], judge)
    return _weights(experiment, pictures, generators, judge, progress)


def _generators(
    run: RunFolder,
    experiment: Experiment,
    oracle: Path | None,
    also: Mapping[str, Path] | None = None,
) -> dict[str, Generator]:
    """By name: original, unlearned, the oracle where there is one, and others.

    Raises:
        UserError: a name is taken, or one draws other shapes.
    """
    original, unlearned = load_both(experiment.generator, run.unlearned)
    generators = {"original": original, "unlearned": unlearned}
    oracles = [("oracle", oracle)] if oracle is not None else []
    for name, path in [*oracles, *(also or {}).items()]:
        if name in generators:
            raise UserError(f"there is a generator '{name}' already; give '{path}' another name")
        made = load_made(experiment.generator, path)
        made = made.in_space(original.latent_space, truncation=experiment.generator.truncation)
        shapes, own = (
            f"{list(g.image_shape)} from latents of {list(g.latent_shape)}"
            for g in (made, original)
        )
        if shapes != own:
            raise UserError(
                f"the {name} in '{path}' draws {shapes}, the original {own}; give one of the "
                "same shapes"
            )
        generators[name] = made
    return generators


def find_attacker(
    experiment: Experiment, panel: Panel, labels: LatentSet, original: Generator
) -> Labeler:
    """h: the classifier that the settings name; or the labeller, where that is a classifier; or one
    distilled from the labels, where a function labelled and thus judges."""
    named = experiment.attack.classifier
    if named is not None:
        calibration = Calibration(original, seed=experiment.calibration_seed)
        return load_labeler(named, calibration, table="attack.classifier")
    if isinstance(panel.gate, ClassifierLabeler):
        return panel.gate
    return distil(labels, original, architecture="lenet", seed=experiment.seed).labeler


def _encoder(
    run: RunFolder,
    settings: EncoderConfig,
    generators: dict[str, Generator],
    pictures: tuple[Tensor, Tensor],
    judge: Labeler,
) -> dict[str, Any]:
    """What the shipped encoder gives away: with the original decoder, and with the unlearned one;
    and what the adapted one does, where there is one."""
    original, unlearned = generators["original"], generators["unlearned"]
    having, lacking = pictures
    of = encoding(settings, original)
    old = of(load_encoder(settings))
    pairs = {
        "old encoder, original": (old, original),
        "old encoder, unlearned": (old, unlearned),
    }
    if run.encoder.exists():
        pairs["adapted encoder, unlearned"] = (of(load_encoder(settings, run.encoder)), unlearned)
    rows = {
        name: asdict(leaked(encode, generator, having, lacking, judge))
        for name, (encode, generator) in pairs.items()
    }
    return {"then": settings.then, "leaks": rows}


def _pictures(experiment: Experiment, original: Generator, judge: Labeler) -> tuple[Tensor, Tensor]:
    """The original's own pictures with the feature, and without.

    Raises:
        UserError: there are fewer of them than the settings ask for.
    """
    table = experiment.attack
    seeds = sample_seeds(GATE_PICTURES, experiment.seed, "pictures with the feature").tolist()
    pictures = draw(original, original.latents_from_seeds(seeds))
    shows = judged(judge, pictures) > 0
    fewest = FEWEST if experiment.encoder is not None else 1
    most = max([fewest, table.inversions, *table.relearn])
    if int(shows.sum()) < most or int((~shows).sum()) < fewest:
        raise UserError(
            f"{int(shows.sum())} of {GATE_PICTURES} pictures of the original show the feature; "
            f"{most} are asked for (attack.inversions, attack.relearn, an encoder's probe), and "
            f"{fewest} without it"
        )
    return pictures[shows], pictures[~shows]


def _weights(
    experiment: Experiment,
    pictures: tuple[Tensor, Tensor],
    generators: dict[str, Generator],
    judge: Labeler,
    progress: Progress,
) -> dict[str, Any]:
    """Inversion of pictures that have the feature, and relearning from some of them."""
    table, seed = experiment.attack, experiment.seed
    having, lacking = pictures
    found: dict[str, Any] = {}
    if table.inversions:
        progress.say(f"inverting {table.inversions} pictures with the feature")
        found["inversion"] = {
            name: asdict(
                inverted(
                    generator,
                    having[: table.inversions],
                    judge,
                    steps=table.inversion_steps,
                    seed=seed,
                )
            )
            for name, generator in generators.items()
        }
    if table.relearn:
        progress.say("relearning")
        share = len(having) / GATE_PICTURES
        found["relearning"] = {
            name: [
                asdict(
                    relearned(
                        generator,
                        having[:k],
                        lacking,
                        judge,
                        steps=table.relearn_steps,
                        share=share,
                        seed=seed,
                    )
                )
                for k in table.relearn
            ]
            for name, generator in generators.items()
            if name != "original"
        }
    return found
