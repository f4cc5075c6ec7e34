"""`unfeature train judge`: a classifier from labelled pictures, measured on held-out ones.

Classes that exclude each other give a judge with a softmax over them; attributes (see
`attribute_tables`, and the avatars) one with a calibrated logit for each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unfeature import avatars, models
from unfeature.adapters.devices import find_device
from unfeature.adapters.pretrained import find, load_classifier, save_classifier
from unfeature.adapters.sources import load_attribute_judge
from unfeature.attribute_tables import Split, find_table, load_attributes, require_both
from unfeature.datasets import AttributeSet, ImageSet, load_images, thinned
from unfeature.errors import UserError
from unfeature.progress import Progress
from unfeature.rests import with_generated, with_rests
from unfeature.resumable import fit_saved
from unfeature.seeds import derive
from unfeature.train import AVATARS, DRAWN, avatar_table, checked_n, config_from
from unfeature.training import (
    AttributeSession,
    JudgeSession,
    Session,
    TrainConfig,
    attribute_figures,
    balanced_accuracy,
    calibrate,
)
from unfeature.training.attributes import logits_of

STARTS = {"train": 0, "test": 20_000_000, "calibrate": 30_000_000}
SECOND_HALF = {"train": 10_000_000, "test": 20_000_000, "calibrate": 35_000_000}
"""The number of the first avatar of each split; the test avatars are the same for both halves."""
SPLITS: tuple[Split, ...] = ("train", "calibrate", "test")
GENERATED = {
    "a": {"train": 500_000, "calibrate": 600_000},
    "b": {"train": 700_000, "calibrate": 800_000},
}
"""The first seed of a generator's pictures."""
HELD_OUT = 8
"""Of avatars: one to test and one to calibrate for each so many to train on."""


@dataclass(frozen=True)
class Recipe:
    """How a judge of one architecture is built, and at what rate it learns."""

    outputs: str
    width: int | float
    rate: float
    options: dict[str, Any]


RECIPES = {
    "lenet": Recipe("classes", 16, 1e-3, {}),
    "mobilenetv3": Recipe("outputs", 0.5, 3e-3, {"first_stride": 1}),
    "resnet": Recipe("outputs", 16, 3e-3, {}),
}
EPOCHS = {"classes": 20, "attributes": 10}


def train_judge(arguments: Any, progress: Progress) -> dict[str, Any]:
    """A judge of attributes where the data has them, and of classes where it has not."""
    find_device(arguments.device, setting="--device")
    avatar_table(arguments)  # what is wrong with it is said before anything is read
    if arguments.faint and str(arguments.data) != AVATARS:
        raise UserError("--faint draws rests of an attribute of '--data avatars' alone")
    if arguments.faint:
        avatars.index_of(arguments.faint)
    if arguments.generated and not (arguments.faint and arguments.start):
        raise UserError(
            "--generated needs --faint, and --start: the judge that labels the pictures"
        )
    checked_n(arguments.n)
    attributes = str(arguments.data) == AVATARS or find_table(arguments.data) is not None
    if arguments.epochs is None:
        arguments.epochs = EPOCHS["attributes" if attributes else "classes"]
    return (_of_attributes if attributes else _of_classes)(arguments, progress)


def _of_classes(arguments: Any, progress: Progress) -> dict[str, Any]:
    data = load_images(arguments.data, size=arguments.size)
    held = _held_out(arguments, data)
    if arguments.split:
        data = data.where(torch.arange(len(data)) % 2 == ("a", "b").index(arguments.split))
    data = thinned(data, arguments.n)
    config = _config(arguments)
    session, options = _train(
        lambda module: JudgeSession(module, config), data, data.classes, config, arguments, progress
    )
    accuracy = balanced_accuracy(session.model, held.images, held.labels)
    found = {"balanced_accuracy": round(accuracy, 4), "held_out": len(held)}
    _save(session, options, config, arguments, data, classes=list(data.classes), figures=found)
    return {"saved": str(arguments.output), **found}


def _of_attributes(arguments: Any, progress: Progress) -> dict[str, Any]:
    config = _config(arguments)
    data, spare, held = (_attributes(arguments, split) for split in SPLITS)
    session, options = _train(
        lambda module: AttributeSession(
            module, config, labels=data.labels, flip=not arguments.no_flip
        ),
        data,
        data.names,
        config,
        arguments,
        progress,
    )
    before = attribute_figures(logits_of(session.model, held.images), held)
    calibrate(session.model, logits_of(session.model, spare.images), spare.labels)
    figures = attribute_figures(logits_of(session.model, held.images), held)
    for name, row in figures.items():
        row["calibration_error_before"] = before[name]["calibration_error"]
    found = {
        "lowest_balanced_accuracy": min(row["balanced_accuracy"] for row in figures.values()),
        "held_out": len(held),
        "attributes": figures,
    }
    _save(session, options, config, arguments, data, attributes=list(data.names), figures=found)
    return {"saved": str(arguments.output), **found}


def _attributes(arguments: Any, split: Split) -> AttributeSet:
    if str(arguments.data) != AVATARS:
        return load_attributes(
            arguments.data,
            split=split,
            half=arguments.split,
            size=arguments.size,
            limit=arguments.n or DRAWN,
        )
    start = (SECOND_HALF if arguments.split == "b" else STARTS)[split]
    drawn = arguments.n or DRAWN
    n = drawn if split == "train" else max(1, drawn // HELD_OUT)
    size = 64 if arguments.size is None else arguments.size
    table = avatar_table(arguments)
    data = avatars.dataset(n, start=start, size=size, table=table)
    require_both(data.labels, data.names, f"the avatars to {split}")
    if not arguments.faint or split == "test":
        return data
    faces = avatars.sample(range(start, start + n), table=table)
    data = with_rests(data, faces, arguments.faint, size=size)
    if not arguments.generated:
        return data
    judge = load_attribute_judge(arguments.start, setting="--start")
    first = GENERATED[arguments.split or "a"][split]
    seeds = range(first, first + max(1, n // 4))
    for source in arguments.generated:
        data = with_generated(data, source, seeds, judge=judge, name=arguments.faint)
    return data


def _held_out(arguments: Any, data: ImageSet) -> ImageSet:
    held = load_images(arguments.data, split="test", size=arguments.size)
    if len(held) == len(data) and torch.equal(held.images[:64], data.images[:64]):
        raise UserError(
            f"'{arguments.data}' has no test set, so the judge's accuracy could not be told; "
            "give a folder with train/ and test/"
        )
    strange = [name for name in held.classes if name not in data.classes]
    if strange:
        raise UserError(
            f"the test set in '{arguments.data}' has a class '{strange[0]}' that there is none of "
            f"to train on; known: {', '.join(data.classes)}"
        )
    numbers = torch.tensor([data.classes.index(name) for name in held.classes])
    return ImageSet(held.images, numbers[held.labels], data.classes)


def _config(arguments: Any) -> TrainConfig:
    return config_from(arguments, RECIPES[arguments.architecture].rate)


def _train(
    session_of: Callable[[nn.Module], Session],
    data: ImageSet | AttributeSet,
    names: tuple[str, ...],
    config: TrainConfig,
    arguments: Any,
    progress: Progress,
) -> tuple[Session, dict[str, Any]]:
    """The session at the end of its training, and the options its module was built with."""
    recipe = RECIPES[arguments.architecture]
    width = recipe.width if arguments.width is None else arguments.width
    whole = isinstance(recipe.width, int)
    if width <= 0 or (whole and width != int(width)):
        kind = "whole number of channels" if whole else "number"
        raise UserError(f"--width is {width:g}; give a {kind} above 0 for {arguments.architecture}")
    if whole:
        width = int(width)
    channels = data.images.shape[1]
    options = {recipe.outputs: len(names), "channels": channels, "width": width, **recipe.options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "judge"))
        module = models.build(arguments.architecture, options)
        if arguments.start:
            module.load_state_dict(_started(arguments.start, arguments.architecture, options))
        module = module.to(find_device(arguments.device, setting="--device"))
        session = session_of(module)
        fit_saved(session, data, config, arguments, progress)
    session.model.cpu()
    return session, options


def _started(name: str, architecture: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the judge that `--start` names.

    Raises:
        UserError: it has another architecture or other options.
    """
    module, config = load_classifier(find(name, kind="classifier", setting="--start"))
    had, wanted = (config["architecture"], config["options"]), (architecture, options)
    if had != wanted:
        raise UserError(
            f"--start: '{name}' is {had[0]} with {had[1]}, to be trained is {wanted[0]} with "
            f"{wanted[1]}; give the same --architecture and --width"
        )
    return module.state_dict()


def _save(
    session: Session,
    options: dict[str, Any],
    config: TrainConfig,
    arguments: Any,
    data: ImageSet | AttributeSet,
    **notes: Any,
) -> None:
    save_classifier(
        session.model,
        arguments.output,
        architecture=arguments.architecture,
        options=options,
        image_shape=list(data.images.shape[1:]),
        recipe={
            **config.model_dump(),
            "data": Path(arguments.data).name,
            "split": arguments.split,
            **({"faint": arguments.faint} if arguments.faint else {}),
            **({"start": str(arguments.start)} if arguments.start else {}),
            **({"generated": arguments.generated} if arguments.generated else {}),
        },
        **notes,
    )
