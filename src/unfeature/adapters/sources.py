"""From what the settings name to the thing itself: generators, labellers and judges."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from unfeature.adapters.factory import from_factory
from unfeature.adapters.pretrained import find, load_classifier, load_generator
from unfeature.config import GeneratorConfig, LabelerConfig
from unfeature.errors import UserError, did_you_mean
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import ClassifierLabeler
from unfeature.labelers.function import FunctionLabeler
from unfeature.labels import sample_seeds
from unfeature.references import resolve

CALIBRATION_PICTURES = 2000


def load_source(config: GeneratorConfig) -> Generator:
    """The generator that a `[generator]` table names."""
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


def load_labeler(config: LabelerConfig, original: Generator, *, seed: int) -> Labeler:
    """The labeller that a table names, its unit set on the original's own pictures.

    A function's threshold (when given as a share) and the unit of every labeller's score come
    from pictures of `original` drawn for nothing else.

    Raises:
        UserError: it cannot be found or called, or is a person.
    """
    if config.by == "sheet":
        raise UserError("a person cannot be called by a program; see unfeature label --by sheet")
    latents = original.latents_from_seeds(
        sample_seeds(CALIBRATION_PICTURES, seed, "calibration").tolist()
    )
    images = draw(original, latents)
    if config.by == "function":
        fn = resolve(config.function, setting="label.function")
        return FunctionLabeler.calibrated(
            fn,
            config.function,
            images,
            share=config.share,
            threshold=config.threshold,
            side=config.side,
        )
    labeler = load_judge(config.classifier, target=config.target)
    if config.threshold is not None:
        labeler = replace(labeler, threshold=config.threshold)
    with torch.inference_mode():
        scores = torch.cat([labeler.score(part) for part in images.split(256)])
    return replace(labeler, temperature=max(scores.std().item(), 1e-6))


def load_judge(name: str, *, target: str = "") -> ClassifierLabeler:
    """A classifier by a shipped name, a folder or `module:factory`.

    Args:
        target: the class, by name (where the classifier's `config.json` names its classes) or by
            index; the first when not given.
    """
    classes: list[str] = []
    if ":" in name:
        module = resolve(name, setting="label.classifier")()
        if not isinstance(module, nn.Module):
            raise UserError(f"label.classifier: '{name}' must give a torch.nn.Module")
        module.eval().requires_grad_(False)
    else:
        module, config = load_classifier(find(name, kind="classifier", setting="label.classifier"))
        classes = list(config.get("classes", []))
    if not target:
        index = 0
    elif target in classes:
        index = classes.index(target)
    elif target.isdigit():
        index = int(target)
    else:
        raise UserError(
            f"label.target: classifier '{name}' has no class '{target}'"
            f"{did_you_mean(target, classes)}; known: {', '.join(classes) or 'indices only'}"
        )
    return ClassifierLabeler(module, name, index, target_name=target)
