"""`unfeature train`: originals and oracles from a data set, with checkpoints."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from unfeature.adapters.files import load_checkpoint, make_folder, save_checkpoint
from unfeature.adapters.pretrained import save_generator
from unfeature.adapters.sources import load_source
from unfeature.datasets import AttributeSet, ImageSet, load_images
from unfeature.errors import UserError
from unfeature.evaluate import extractor, judged
from unfeature.evaluate.quality import fid
from unfeature.folder import RunFolder
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labels import sample_seeds
from unfeature.panel import load_panel
from unfeature.progress import Progress
from unfeature.training import Session, TrainConfig, fit
from unfeature.training.originals import original_session

FID_PICTURES = 10_000


def train_original(arguments: Any, progress: Progress) -> dict[str, Any]:
    """A generator from images; its config.json records the recipe and the figures reached."""
    data = load_images(arguments.data, size=arguments.size)
    rate = arguments.learning_rate or {"dcgan": 2e-4, "conv-vae": 1e-3}[arguments.architecture]
    recipe = {
        "architecture": arguments.architecture,
        "options": {"latent_dim": arguments.latent_dim, "width": arguments.width},
        "training": config_from(arguments, rate).model_dump(),
    }
    return _train_generator(recipe, data, arguments, progress)


def train_oracle(arguments: Any, progress: Progress) -> dict[str, Any]:
    """The twin of a run's original: its recipe, on the data in which the judge sees no feature."""
    run = RunFolder.open(arguments.run)
    run.require("label")
    recipe = load_source(run.experiment().generator).spec.about.get("recipe")
    if recipe is None:
        raise UserError(
            f"the original of '{arguments.run}' was not trained by 'unfeature train', so its "
            "recipe is not known; an oracle needs one"
        )
    data = load_images(arguments.data, size=arguments.size)
    judge = load_panel(run.path / "panel").judge
    clean = judged(judge, data.images) <= 0
    progress.say(f"{int(clean.sum())} of {len(data)} images do not show the feature")
    return _train_generator(
        recipe, data.where(clean), arguments, progress, without=run.experiment().feature
    )


def _train_generator(
    recipe: dict[str, Any], data: ImageSet, arguments: Any, progress: Progress, **notes: Any
) -> dict[str, Any]:
    channels, height, width = data.images.shape[1:]
    shape = (channels, height, width)
    config = TrainConfig(**recipe["training"])
    session, options = original_session(recipe["architecture"], shape, config, **recipe["options"])
    fit_saved(session, data, config, arguments, progress)
    spec = GeneratorSpec(
        architecture=recipe["architecture"],
        options=options,
        latent_shape=(recipe["options"]["latent_dim"],),
        image_shape=shape,
        about={"recipe": recipe, **notes},
    )
    generator = Generator(session.model, spec)
    found: dict[str, Any] = {"images": len(data), "fid": None, "features": None}
    if shape == (1, 28, 28):
        judge = extractor("digits-judge")
        seeds = sample_seeds(FID_PICTURES, config.seed, "train fid").tolist()
        drawn = draw(generator, generator.latents_from_seeds(seeds))
        value = fid(judge(drawn)[0], judge(data.images[:FID_PICTURES])[0])
        found.update(fid=round(value, 3), features=judge.name)
    save_generator(generator.with_about(figures=found), arguments.output)
    return {"saved": str(arguments.output), **found}


def config_from(arguments: Any, rate: float) -> TrainConfig:
    """The command line's training settings.

    Raises:
        UserError: one is out of its range; the option is named.
    """
    try:
        return TrainConfig(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=rate,
            seed=arguments.seed,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][0]).replace("_", "-")
        message = problem["msg"][0].lower() + problem["msg"][1:]
        raise UserError(f"--{option} is {problem['input']!r}: {message}") from error


def fit_saved(
    session: Session,
    data: ImageSet | AttributeSet,
    config: TrainConfig,
    arguments: Any,
    progress: Progress,
) -> nn.Module:
    """Train to the end, with a checkpoint after each epoch, from which --resume goes on."""
    output = Path(arguments.output)
    make_folder(output)
    path = output / "checkpoint.pt"
    start = 0
    if arguments.resume and path.exists():
        saved = load_checkpoint(path)
        start = saved["done"]
        session.load_state_dict(saved["session"])
    with progress.bar("train", config.epochs, initial=start) as bar:
        for epoch in fit(session, data, config, start=start):
            save_checkpoint(path, {"done": epoch.done, "session": session.state_dict()})
            bar.update()
            bar.set_postfix_str(", ".join(f"{k} {v:.3f}" for k, v in epoch.losses.items()))
    return session.model
