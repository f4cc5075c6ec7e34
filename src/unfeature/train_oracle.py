"""`unfeature train oracle`: an original's twin that never saw the feature."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unfeature.adapters.devices import find_device
from unfeature.adapters.pretrained import build_module
from unfeature.adapters.sources import load_source
from unfeature.config import RecipeConfig
from unfeature.datasets import AttributeSet, ImageSet
from unfeature.errors import UserError, first_line
from unfeature.evaluate import judged
from unfeature.folder import RunFolder
from unfeature.generator import GeneratorSpec
from unfeature.panel import load_panel
from unfeature.progress import Progress
from unfeature.seeds import derive
from unfeature.train import checked, load_data, train_known, train_to_end
from unfeature.training import GANSession, Session, TrainConfig, VAESession
from unfeature.training.gan import GANConfig
from unfeature.training.rendered import Rendered, rendered_elbo

KNOWN = set(TrainConfig.model_fields)
"""What every training has settings for."""


def train_oracle(arguments: Any, progress: Progress) -> dict[str, Any]:
    """The original's architecture and recipe, on the data in which the judge sees no feature.

    Raises:
        UserError: the recipe is not known, or too few images are without the feature.
    """
    find_device(arguments.device, setting="--device")
    run = RunFolder.open(arguments.run)
    run.require("label")
    experiment = run.experiment()
    spec, named = load_source(experiment.generator).spec, experiment.generator.recipe
    recipe: dict[str, Any] | None = spec.about.get("recipe")
    if recipe is not None:
        training = recipe["training"]
    elif named is not None:
        training = named.model_dump(include=KNOWN)
    else:
        how = (
            "name it by generator.factory, and describe how it was trained"
            if experiment.generator.source
            else "describe it"
        )
        raise UserError(
            f"the original of '{arguments.run}' was not trained by 'unfeature train', so its "
            f"recipe is not known; {how} under [generator.recipe] in '{run.settings}'"
        )
    changes = {"epochs": arguments.epochs, "seed": arguments.seed}
    changes = {key: value for key, value in changes.items() if value is not None}
    config = checked(training | changes)
    data = load_data(arguments)
    if tuple(data.images.shape[1:]) != spec.image_shape:
        raise UserError(
            f"the pictures of --data '{arguments.data}' are {list(data.images.shape[1:])}, the "
            f"original's {list(spec.image_shape)}; give data of that shape, or --size "
            f"{spec.image_shape[1]} for avatars and folders of pictures"
        )
    clean = judged(load_panel(run.path / "panel").judge, data.images) <= 0
    progress.say(f"{int(clean.sum())} of {len(data)} images do not show the feature")
    if clean.sum() < config.batch_size:
        raise UserError(
            f"{int(clean.sum())} images without the feature are fewer than one batch of the "
            f"original's, {config.batch_size}; give more data"
        )
    data, without = data.where(clean), experiment.feature
    if recipe is not None:
        recipe = {key: value for key, value in recipe.items() if key != "start"}  # it knows it
        recipe["training"] = config.model_dump()
        return train_known(recipe, data, arguments, progress, without=without)
    assert named is not None
    return _train_named(named, spec, config, data, arguments, progress, without)


def _train_named(
    recipe: RecipeConfig,
    spec: GeneratorSpec,
    config: TrainConfig,
    data: ImageSet | AttributeSet,
    arguments: Any,
    progress: Progress,
    without: str,
) -> dict[str, Any]:
    """A generator of someone else's, by the recipe that the settings describe."""
    device = find_device(arguments.device, setting="--device")
    own = recipe.model_dump(mode="json", exclude=KNOWN)
    with torch.random.fork_rng(devices=[]):  # the modules are a user's, and may draw from it
        torch.manual_seed(derive(config.seed, "initial weights"))
        module = build_module(spec.architecture, spec.options, setting="generator.factory")
        setting = f"generator.recipe.{'encoder' if recipe.encoder else 'discriminator'}"
        partner = build_module(recipe.encoder or recipe.discriminator, {}, setting=setting)
        _fits(partner, data.images[:2], spec, encodes=bool(recipe.encoder), setting=setting)
        drawing, partner = Rendered(module, spec).to(device), partner.to(device)
        session: Session
        if recipe.encoder:
            squared = recipe.reconstruction == "squared error"
            loss = partial(rendered_elbo, squared=squared)
            session = VAESession(partner, drawing, config, loss=loss)
        else:
            settings = GANConfig(recipe.discriminator_rate, recipe.betas, recipe.r1)
            session = GANSession(drawing, partner, config, settings)
        notes = {"recipe": own | {"training": config.model_dump()}, "without": without}
        made = replace(spec, about=notes)
        return train_to_end(session, "module", made, data, config, arguments, progress, recipe=own)


@torch.no_grad()
def _fits(
    partner: nn.Module, images: Tensor, spec: GeneratorSpec, *, encodes: bool, setting: str
) -> None:
    """Try it on two images.

    Raises:
        UserError: a discriminator gives no logit for each, or an encoder no mean and log-variance.
    """
    try:
        output = partner(images)
    except Exception as error:  # it is the user's, and may raise anything
        raise UserError(
            f"{setting} does not take images of {list(images.shape[1:])}: {first_line(error)}"
        ) from error
    parts = output if isinstance(output, tuple) else (output,)
    shapes = [list(p.shape) if isinstance(p, Tensor) else type(p).__name__ for p in parts]
    latents = [len(images), *spec.latent_shape]
    if encodes and shapes != [latents, latents]:
        raise UserError(
            f"{setting} gives {shapes} for two images; it must give "
            f"their mean and log-variance, each {latents}"
        )
    if not encodes and not (isinstance(output, Tensor) and output.numel() == len(images)):
        raise UserError(f"{setting} gives {shapes} for two images; it must give a logit for each")
