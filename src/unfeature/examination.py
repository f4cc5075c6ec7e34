"""What an evaluation can say besides the verdict, where there is a judge of many attributes or
where the perfect pictures are known."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from unfeature.adapters.files import atomic, write_json
from unfeature.adapters.sources import (
    Calibration,
    load_attribute_judge,
    load_labeler,
    named_judge,
)
from unfeature.avatars.table import index_of
from unfeature.config import EvaluateConfig, Experiment
from unfeature.errors import UserError, did_you_mean
from unfeature.evaluate import extractor
from unfeature.evaluate.collateral import Collateral, collateral
from unfeature.evaluate.counterfactual import Counterfactuals, counterfactuals
from unfeature.evaluate.features import Extractor
from unfeature.evaluate.statistics import wilson
from unfeature.evaluate.verdict import Pairs, judged
from unfeature.folder import RunFolder
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge
from unfeature.pictures import grid, png

STRIP = 12
"""Faces in a strip."""
FACES = 32
"""Avatars that are inverted for the distance to their counterfactuals."""


def load_examiner(settings: EvaluateConfig) -> AttributeJudge | None:
    """The judge that `evaluate.attributes` names, the names beside it checked.

    Raises:
        UserError: no such judge; `evaluate.leave_out` or `evaluate.counterfactual` names no
            attribute.
    """
    if settings.counterfactual:
        index_of(settings.counterfactual)
    if not settings.attributes:
        return None
    judge = load_attribute_judge(settings.attributes, setting="evaluate.attributes", classes=True)
    if judge.exclusive and settings.leave_out:
        raise UserError(
            f"evaluate.leave_out names attributes, and '{settings.attributes}' tells classes "
            "apart, of which a picture shows one: leave it empty, or name a judge of attributes"
        )
    for name in settings.leave_out:
        if name not in judge.names:
            raise UserError(
                f"evaluate.leave_out names '{name}', which '{settings.attributes}' does not know"
                f"{did_you_mean(name, judge.names)}; known: {', '.join(judge.names)}"
            )
    if set(settings.leave_out) >= set(judge.names):
        raise UserError(
            f"evaluate.leave_out leaves no attribute of '{settings.attributes}' to look at"
        )
    return judge


def load_closer(settings: EvaluateConfig, original: Generator, *, seed: int) -> Labeler | None:
    """The judge that `evaluate.closely` names.

    Raises:
        UserError: it cannot be found or called, or is a person.
    """
    if settings.closely is None:
        return None
    if settings.closely.by == "classifier":  # whose unit does not matter here
        return named_judge(settings.closely, table="evaluate.closely")
    return load_labeler(
        settings.closely, Calibration(original, seed=seed), table="evaluate.closely"
    )


def choose_extractor(experiment: Experiment, original: Generator) -> Extractor | None:
    """The named feature extractor, or the shipped judge where it fits."""
    if experiment.evaluate.features:
        return extractor(experiment.evaluate.features)
    return extractor("digits-judge") if original.image_shape == (1, 28, 28) else None


def examine(
    run: RunFolder,
    settings: EvaluateConfig,
    pairs: Pairs,
    original: Generator,
    unlearned: Generator,
    *,
    seed: int,
) -> dict[str, Any]:
    """Write strips of pictures, and `examination.json` with rests of the feature, collateral and
    counterfactuals."""
    found: dict[str, Any] = {}
    had = pairs.score_original > 0
    rows = had.nonzero().squeeze(1)[:STRIP]
    if len(rows):
        _strip(run, "strip.png", pairs.original[rows], pairs.unlearned[rows])
    closer = load_closer(settings, original, seed=seed)
    if closer is not None:
        found["rests"] = rests(closer, pairs, had)
    judge = load_examiner(settings)
    if judge is not None:
        sets = {"had it": had, "never had it": ~had}
        found["collateral"] = {
            name: asdict(_changes(judge, settings, pairs.original[keep], pairs.unlearned[keep]))
            for name, keep in sets.items()
            if keep.any()
        }
    if settings.counterfactual:
        result = counterfactuals(original, unlearned, settings.counterfactual, n=FACES)
        found["counterfactual"] = result.summary()
        if judge is not None:
            perfect = result.without
            found["counterfactual"]["differing"] = {
                name: asdict(_changes(judge, settings, perfect, images).changed)
                for name, images in (("before", result.before), ("after", result.after))
            }
        _strip(run, "counterfactual.png", *_faces(result))
    write_json(run.path / "examination.json", found)
    return found


def rests(judge: Labeler, pairs: Pairs, had: Tensor) -> dict[str, Any]:
    """In what share of pictures a judge that looks closely sees the feature: of those that had it,
    the original's and the unlearned, and of those that never had it the same two, where it is
    wrong about the original's."""
    sets = {"had it": had, "never had it": ~had}
    pictures = {"before": pairs.original, "after": pairs.unlearned}
    return {
        "judge": judge.name,
        **{
            name: {when: asdict(wilson(judged(judge, p[keep]) > 0)) for when, p in pictures.items()}
            for name, keep in sets.items()
            if keep.any()
        },
    }


def _changes(
    judge: AttributeJudge, settings: EvaluateConfig, before: torch.Tensor, after: torch.Tensor
) -> Collateral:
    return collateral(judge, before, after, leave_out=settings.leave_out)


def _faces(result: Counterfactuals) -> tuple[torch.Tensor, ...]:
    sets = (result.faces, result.before, result.after, result.without)
    return tuple(images[:STRIP] for images in sets)


def _strip(run: RunFolder, name: str, *rows: torch.Tensor) -> None:
    """One row of pictures below the other."""
    sheet = png(grid(torch.cat(rows), columns=len(rows[0]), gap=2), zoom=2)
    with atomic(run.path / name) as temporary:
        temporary.write_bytes(sheet)
