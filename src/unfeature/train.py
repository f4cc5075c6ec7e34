"""`unfeature train`: originals from a data set."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from unfeature import avatars
from unfeature.adapters.devices import find_device
from unfeature.adapters.pretrained import save_generator
from unfeature.adapters.sources import load_attribute_judge, load_source
from unfeature.config import GeneratorConfig
from unfeature.datasets import AttributeSet, ImageSet, load_images
from unfeature.errors import UserError
from unfeature.evaluate import extractor
from unfeature.evaluate.quality import fid
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labels import sample_seeds
from unfeature.progress import Progress
from unfeature.resumable import fit_saved
from unfeature.train_prior import fit_prior
from unfeature.training import Session, TrainConfig, VAESession
from unfeature.training.originals import original_session

AVATARS = "avatars"
"""As --data: our own faces instead of files."""
DRAWN = 40_000
"""Avatars, or pictures with attributes, where --n is not given."""
FID_PICTURES = 10_000
STATISTICS = 512
"""Pictures from which a second discriminator takes the mean and spread of a judge's features."""
OWN_OPTIONS = {
    **dict.fromkeys(("judge", "start", "width"), "has an option of its own, without --option"),
    "latent_dim": "has an option of its own: --latent-dim",
    "config": "is none",
    **dict.fromkeys(("channels", "base", "size"), "follows from the pictures; see --size"),
}
"""What --option cannot set, and why."""
RATES = {"dcgan": 2e-4, "conv-vae": 1e-3, "residual-vae": 2e-3, "stylegan2": 2e-3}
"""Adam's step size, where --learning-rate is not given."""


def train_original(arguments: Any, progress: Progress) -> dict[str, Any]:
    """A generator from images; its config.json records the recipe and the figures reached."""
    given = {"latent_dim": arguments.latent_dim, "width": arguments.width}
    for key, value in given.items():
        if value is not None and value < 1:
            raise UserError(f"--{key.replace('_', '-')} is {value}; give 1 or more")
    find_device(
        arguments.device, setting="--device"
    )  # what is wrong with it is said before anything is read
    if arguments.start:
        _require_architecture(arguments.start, arguments.architecture)
    data = load_data(arguments)
    recipe = {
        "architecture": arguments.architecture,
        "options": {key: value for key, value in given.items() if value is not None}
        | _options(arguments.option),
        "training": config_from(
            arguments,
            RATES[arguments.architecture],
            average=arguments.average,
            beta=arguments.beta,
        ).model_dump(),
    }
    if arguments.judge:
        recipe["judge"] = arguments.judge
    if arguments.start:
        recipe["start"] = arguments.start
    return train_known(recipe, data, arguments, progress)


def _require_architecture(start: str, architecture: str) -> None:
    """Raise where the weights to start with are of another architecture than is to be trained."""
    found = load_source(GeneratorConfig(source=start)).spec.architecture
    if found != architecture:
        raise UserError(
            f"--start {start} is a '{found}', and a '{architecture}' is to be trained; give "
            f"--architecture {found}, or weights that were made by one"
        )


def load_data(arguments: Any) -> ImageSet | AttributeSet:
    """The pictures that `--data` names: files, or so many avatars. Those of a folder that are
    resized are cropped to their middle square first."""
    table = avatar_table(arguments)
    n, size = checked_n(arguments.n), arguments.size
    if str(arguments.data) == AVATARS:
        return avatars.dataset(n or DRAWN, size=64 if size is None else size, table=table)
    return load_images(arguments.data, size=size, n=n)


def avatar_table(arguments: Any) -> avatars.Table | None:
    """The correlations of `--table`, or None for those of life.

    Raises:
        UserError: it is no valid table, or the pictures are none of ours.
    """
    if arguments.table is None:
        return None
    if str(arguments.data) != AVATARS:
        raise UserError("--table says how the attributes of '--data avatars' are correlated")
    return avatars.read_table(arguments.table)


def checked_n(n: int | None) -> int | None:
    """--n.

    Raises:
        UserError: it is less than 1.
    """
    if n is not None and n < 1:
        raise UserError(f"--n is {n}; give the number of pictures, 1 at least")
    return n


def load_pictures(name: str, n: int, *, size: int) -> Tensor:
    """At most `n` pictures in [−1, 1] of what is named as `--data` is; those of a folder are
    cropped to their middle square and resized."""
    if name == AVATARS:
        return avatars.dataset(n, size=size).images
    return load_images(Path(name), size=size, n=n).images


def _options(settings: list[str]) -> dict[str, int | float]:
    """`KEY=NUMBER` each, for what only one architecture knows."""
    found: dict[str, int | float] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if key in OWN_OPTIONS:
            raise UserError(f"--option {setting}: '{key}' {OWN_OPTIONS[key]}")
        try:
            value = float(text)
            whole = int(value)
        except (ValueError, OverflowError) as error:
            raise UserError(f"--option {setting}: write KEY=NUMBER, e.g. gamma=0.1") from error
        found[key] = whole if value == whole and "." not in text else value
    return found


def train_known(
    recipe: dict[str, Any],
    data: ImageSet | AttributeSet,
    arguments: Any,
    progress: Progress,
    **notes: Any,
) -> dict[str, Any]:
    """A generator by a recipe as `train_original` records it; `notes` go into its config.json."""
    channels, height, width = data.images.shape[1:]
    shape = (channels, height, width)
    config = TrainConfig(**recipe["training"])
    helper, start = recipe.get("judge"), recipe.get("start")
    session, options = original_session(
        recipe["architecture"],
        shape,
        config,
        judge=helper and (load_attribute_judge(helper).module, data.images[:STATISTICS]),
        start=start and load_source(GeneratorConfig(source=start)).module,
        device=find_device(arguments.device, setting="--device"),
        **recipe["options"],
    )
    latent_shape: tuple[int, ...] = tuple(session.model.latent_shape)  # type: ignore[arg-type]
    spec = GeneratorSpec(
        architecture=recipe["architecture"],
        options=options,
        latent_shape=latent_shape,
        image_shape=shape,
        about={"recipe": recipe, **notes},
    )
    return train_to_end(session, "", spec, data, config, arguments, progress)


def train_to_end(
    session: Session,
    part: str,
    spec: GeneratorSpec,
    data: ImageSet | AttributeSet,
    config: TrainConfig,
    arguments: Any,
    progress: Progress,
    **own: Any,
) -> dict[str, Any]:
    """Train, save, and say how good it is.

    Args:
        part: which submodule of the session's model is the generator's; "" for all of it.
        own: what else a checkpoint must have in common with the training that goes on from it.
    """
    model, cost = fit_saved(session, data, config, arguments, progress, **own)
    if isinstance(session, VAESession) and session.settings.transport:
        model, spec, more = fit_prior(session, spec, data.images, arguments, progress)
        cost = cost and more and cost + more
    found: dict[str, Any] = {"images": len(data), "fid": None, "features": None}
    if cost is not None:
        found |= {"seconds": round(cost.seconds), "megabytes": round(cost.megabytes)}
    generator = Generator(model.get_submodule(part), spec).to("cpu")
    name = _features_for(str(arguments.data), spec.image_shape)
    if name:
        judge = extractor(name)
        seeds = sample_seeds(FID_PICTURES, config.seed, "train fid").tolist()
        drawn = draw(generator, generator.latents_from_seeds(seeds))
        value = fid(judge(drawn)[0], judge(data.images[:FID_PICTURES])[0])
        found.update(fid=round(value, 3), features=judge.name)
    save_generator(generator.with_about(figures=found), arguments.output)
    return {"saved": str(arguments.output), **found}


def _features_for(data: str, shape: tuple[int, int, int]) -> str:
    """The shipped judge in whose features the FID is measured; none for other pictures."""
    if data == AVATARS and shape[1] == 64:
        return "avatars-referee"
    return "digits-judge" if shape == (1, 28, 28) else ""


def config_from(arguments: Any, usual_rate: float, **more: float | None) -> TrainConfig:
    """The command line's training settings.

    Args:
        usual_rate: the step size where none is given.
        more: other settings; those that are None keep their default.

    Raises:
        UserError: one is out of its range; the option is named.
    """
    given = {key: value for key, value in more.items() if value is not None}
    rate = arguments.learning_rate
    return checked(
        {
            "epochs": arguments.epochs,
            "batch_size": arguments.batch_size,
            "learning_rate": usual_rate if rate is None else rate,
            "seed": arguments.seed,
            **given,
        }
    )


def checked(values: dict[str, Any]) -> TrainConfig:
    """Training settings.

    Raises:
        UserError: one is out of its range; the option is named.
    """
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][0]).replace("_", "-")
        message = problem["msg"][0].lower() + problem["msg"][1:]
        raise UserError(f"--{option} is {problem['input']!r}: {message}") from error
