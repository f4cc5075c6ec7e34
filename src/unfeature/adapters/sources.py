"""From what the settings name to the thing itself: generators, labellers and judges."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.adapters.devices import find_device
from unfeature.adapters.factory import from_factory
from unfeature.adapters.pretrained import build_module, find, load_classifier, load_generator
from unfeature.config import GeneratorConfig, LabelerConfig
from unfeature.errors import UserError, did_you_mean
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge, ClassifierLabeler
from unfeature.labelers.function import FunctionLabeler
from unfeature.labels import sample_seeds
from unfeature.references import resolve

CALIBRATION_PICTURES = 2000


def load_source(config: GeneratorConfig) -> Generator:
    """The generator that a `[generator]` table names, in the latent space it asks for."""
    generator = _source(config).to(find_device(config.device, setting="generator.device"))
    if not config.latent_space and config.truncation is None:
        return generator
    space = config.latent_space or generator.latent_space
    return generator.in_space(space, truncation=config.truncation)


def load_both(config: GeneratorConfig, unlearned: Path) -> tuple[Generator, Generator]:
    """The original that the settings name, and what was made of it, from its folder."""
    return load_source(config), load_made(config, unlearned)


def load_made(config: GeneratorConfig, folder: Path) -> Generator:
    """What was made of the generator that a `[generator]` table names, beside it."""
    return load_generator(folder, factory=config.factory).to(config.device)


def _source(config: GeneratorConfig) -> Generator:
    if config.source:
        return load_generator(find(config.source, kind="generator", setting="generator.source"))
    if ":" not in config.factory:
        raise UserError(
            f"generator.factory is '{config.factory}'; write it as 'package.module:name'"
        )
    if len(config.image_shape) != 3:
        raise UserError(
            f"generator.image_shape is {list(config.image_shape)}; give [channels, height, width]"
        )
    channels, height, width = config.image_shape
    spec = GeneratorSpec(
        architecture=config.factory,
        options=config.options,
        latent_shape=config.latent_shape,
        image_shape=(channels, height, width),
        output_range=config.output_range,
    )
    return from_factory(
        spec, Path(config.weights), entry=config.entry, take=config.take, strip=config.strip
    )


def load(name: str) -> Generator:
    """A generator by a shipped name or a folder; `Generator.load` takes only a folder."""
    return load_source(GeneratorConfig(source=name))


class Calibration:
    """Pictures of `original` that set labellers' units and thresholds, drawn once and for nothing
    else."""

    def __init__(self, original: Generator, *, seed: int):
        self.original, self.seed = original, seed

    @cached_property
    def pictures(self) -> Float[Tensor, "n c h w"]:
        seeds = sample_seeds(CALIBRATION_PICTURES, self.seed, "calibration").tolist()
        return draw(self.original, self.original.latents_from_seeds(seeds))


def load_labeler(
    config: LabelerConfig, calibration: Calibration, *, table: str = "label"
) -> Labeler:
    """The labeller that a table names; a function's threshold (when given as a share) and the unit
    of every labeller's score come from the calibration's pictures.

    Args:
        table: where in the settings it is named, for messages.

    Raises:
        UserError: it cannot be found or called, or is a person.
    """
    if config.by == "sheet":
        raise UserError("a person cannot be called by a program; see unfeature label --by sheet")
    if config.by == "function":
        fn = resolve(config.function, setting=f"{table}.function")
        return FunctionLabeler.calibrated(
            fn,
            config.function,
            calibration.pictures,
            share=config.share,
            threshold=config.threshold,
            side=config.side,
        )
    labeler = named_judge(config, table=table)
    with torch.inference_mode():
        scores = torch.cat([labeler.score(part) for part in calibration.pictures.split(256)])
    return replace(labeler, temperature=max(scores.std().item(), 1e-6))


def named_judge(config: LabelerConfig, *, table: str) -> ClassifierLabeler:
    """The classifier that a table names, with the table's threshold; its scores are log-odds."""
    judge = load_judge(config.classifier, target=config.target, table=table)
    return judge if config.threshold is None else replace(judge, threshold=config.threshold)


def load_judge(name: str, *, target: str = "", table: str = "label") -> ClassifierLabeler:
    """A classifier by a shipped name, a folder or `module:factory`.

    Args:
        target: the class or attribute, by name (where the classifier's `config.json` names them)
            or by index; when not given, the first class, but an attribute must be named.
        table: where in the settings it is named, for messages.
    """
    module, config = _classifier(name, setting=f"{table}.classifier")
    independent = "attributes" in config
    kind, known = (
        ("attribute", config["attributes"])
        if independent
        else ("class", list(config.get("classes", [])))
    )
    if target in known:
        index = known.index(target)
    elif target.isdigit() and (not known or int(target) < len(known)):
        index = int(target)
    elif not target and not independent:
        index = 0
    else:
        problem = f"has no {kind} '{target}'{did_you_mean(target, known)}" if target else "has many"
        raise UserError(
            f"{table}.target: classifier '{name}' {problem}; "
            f"{'known' if target else 'name one'}: {', '.join(known) or 'indices only'}"
        )
    shape = tuple(config.get("image_shape", ()))
    if not independent:
        return ClassifierLabeler(module, name, index, target_name=target, image_shape=shape)
    return ClassifierLabeler(
        module,
        name,
        index,
        target_name=known[index],
        independent=True,
        names=tuple(known),
        image_shape=shape,
    )


def load_attribute_judge(
    name: str, *, setting: str = "judge", classes: bool = False
) -> AttributeJudge:
    """All attributes of a judge of attributes, by a shipped name, a folder or `module:factory`.

    Args:
        classes: whether a classifier that tells classes apart will do, too, if it names them.
    """
    module, config = _classifier(name, setting=setting)
    shape = tuple(config.get("image_shape", ()))
    if classes and "classes" in config:
        return AttributeJudge(module, name, tuple(config["classes"]), shape, exclusive=True)
    if classes and "attributes" not in config:
        raise UserError(
            f"{setting}: '{name}' does not name what its outputs are of; give its module a list of "
            "names, as 'classes', of which a picture shows one, or as 'attributes', each a yes or "
            "no of its own"
        )
    if "attributes" not in config:
        raise UserError(
            f"{setting}: classifier '{name}' tells classes apart; it knows no attributes (a module "
            "of your own names those of its outputs as its 'attributes')"
        )
    return AttributeJudge(module, name, tuple(config["attributes"]), shape)


def _classifier(name: str, *, setting: str) -> tuple[nn.Module, dict[str, Any]]:
    """A classifier and its `config.json`, which a factory has not; what it builds may name its
    outputs instead: as `attributes`, where each is a yes or no of its own, or as `classes`."""
    if ":" not in name:
        return load_classifier(find(name, kind="classifier", setting=setting))
    module = build_module(name, {}, setting=setting).eval().requires_grad_(False)
    kind = "attributes" if hasattr(module, "attributes") else "classes"
    names = getattr(module, kind, None)
    named = (
        isinstance(names, list | tuple)
        and all(isinstance(one, str) for one in names)
        and len(set(names)) == len(names)
    )
    if named:
        return module, {kind: list(names or ())}
    if names is None or kind == "classes":  # which may be their number, or anything
        return module, {}
    raise UserError(
        f"{setting}: the 'attributes' of '{name}' must be a list of different names, one for "
        "each output"
    )
