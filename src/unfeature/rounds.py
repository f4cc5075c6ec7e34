"""Unlearning in rounds: while g still draws the feature, sample from g, label, refit, go on.

Moon, Cho, Kim (AAAI 2024), section 3.3: the procedure is repeated until the feature is gone. The
teacher stays f throughout, so errors of one round are not learnt by the next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.config import EraseConfig, UnlearnConfig
from unfeature.erase import Eraser, Erasure, ImageEraser, LinearEraser, threshold_for
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.labelers.keeping import Beside, keeping
from unfeature.labels import LatentSet
from unfeature.seeds import derive
from unfeature.target import TargetVector
from unfeature.unlearn import Check, Step, unlearn


@dataclass(frozen=True)
class ChainEraser(Eraser):
    """Several erasers in turn: the last one fitted is applied first.

    It was fitted to what g ≈ f∘(the others) still drew, so f(others(last(z))) is what g should
    draw.
    """

    erasers: tuple[LinearEraser, ...]

    @property
    def name(self) -> str:
        return ", then ".join(eraser.name for eraser in self.erasers)

    def erase(self, latents: Float[Tensor, "n *latent"]) -> Erasure:
        edited = torch.zeros(len(latents), dtype=torch.bool, device=latents.device)
        for eraser in reversed(self.erasers):
            erasure = eraser.erase(latents)
            latents, edited = erasure.latents, edited | erasure.edited
        return Erasure(latents, edited)


@dataclass(frozen=True)
class Refit:
    """What a round's eraser is made of besides the settings.

    Attributes:
        targets: one direction a round for linear gates; the latest for the image gate.
        numbers: their thresholds; for the image gate the margin.
    """

    targets: tuple[TargetVector, ...]
    numbers: tuple[float, ...]


def first_fit(target: TargetVector, labels: LatentSet, config: EraseConfig) -> Refit:
    """The first round's, from the original's labels."""
    if config.gate == "image":
        return Refit((target,), (config.margin,))
    return Refit((target,), (threshold_for(labels, target, config.gate, recall=config.recall),))


def next_fit(
    last: Refit,
    residual: LatentSet,
    config: EraseConfig,
    refit: Callable[[LatentSet], TargetVector] = TargetVector.fit,
) -> Refit:
    """A linear gate's next round: one more direction, fitted to what g still draws, if enough of it
    is left to tell.

    Args:
        refit: how a direction is fitted, e.g. with protected attributes.
    """
    counts = residual.counts
    if min(counts["yes"], counts["no"]) < 8:
        return last
    target = refit(residual)
    threshold = threshold_for(residual, target, config.gate, recall=config.recall)
    return Refit((*last.targets, target), (*last.numbers, threshold))


def make_eraser(
    fit: Refit,
    config: EraseConfig,
    original: Generator,
    labeler: Labeler | None,
    *,
    student: Generator,
    first: bool = True,
) -> Eraser:
    """The eraser that a fit and the settings describe.

    Args:
        student: g as the round begins. For the image gate, unless its path is "line": of the
            pictures that lack the feature, ẑ's is to be near to g's.
        first: whether it is the first round, in which g is the original.

    Raises:
        UserError: the image gate without a labeller that can be called.
    """
    if config.gate == "image":
        if labeler is None:
            raise UserError("erase.gate = 'image' needs a labeller a program can call")
        approaches = config.refine if first else config.approaches
        return ImageEraser(
            original,
            keeping(labeler, config.keep),
            fit.targets[-1],
            path=config.path,
            margin=fit.numbers[-1],
            reach=config.reach,
            coarse=config.coarse,
            fine=config.fine,
            descents=config.descents,
            pictures=config.donors,
            towards=student if config.path != "line" and approaches else None,
            approaches=approaches,
            stride=config.stride,
            layers=config.layers,
            sharpen=config.sharpen,
            confine=config.confine,
        )
    parts = zip(fit.targets, fit.numbers, strict=True)
    erasers = tuple(LinearEraser(target, number, config.gate) for target, number in parts)
    return erasers[0] if len(erasers) == 1 else ChainEraser(erasers)


@dataclass(frozen=True)
class RoundStep:
    """A step of one round; `state()` holds what resuming needs, the round's start included."""

    round: int
    step: Step
    state: Callable[[], dict[str, Any]]


def unlearn_in_rounds(
    original: Generator,
    fit: Refit,
    erase: EraseConfig,
    config: UnlearnConfig,
    *,
    labeler: Labeler | None,
    residual: Callable[[Generator, int], LatentSet],
    refit: Callable[[LatentSet], TargetVector] = TargetVector.fit,
    check: Callable[[Generator], Check] | None = None,
    resume: dict[str, Any] | None = None,
    seed: int = 0,
) -> Iterator[RoundStep]:
    """`config.rounds` times: unlearn, label g's pictures, refit.

    A linear gate stops once the target ratio of g is at most `config.goal`; the image gate goes
    on, since later rounds lower what changes elsewhere.

    Args:
        residual: labels fresh pictures of g; called with g and the round that has ended.
        refit: fits a linear gate's further directions to these.
        resume: what `RoundStep.state()` returned.
    """
    student = original
    first = 0
    if resume is not None:
        first, fit = resume["round"], _restored(fit, resume)
        student = original.copy()
        student.module.load_state_dict(resume["student"])
    for number in range(first, config.rounds):
        eraser = make_eraser(fit, erase, original, labeler, student=student, first=not number)
        start = {
            "round": number,
            "student": student.module.state_dict(),
            "directions": torch.stack([target.direction for target in fit.targets]),
            "numbers": list(fit.numbers),
        }
        loop = resume["loop"] if resume is not None and number == first else None
        last: Step | None = None
        for step in unlearn(
            original,
            eraser,
            config,
            student=student,
            check=check,
            labeler=_in_loss(labeler, erase.keep, config.keep),
            sharpen=erase.sharpen,
            resume=loop,
            seed=derive(seed, "round", number),
        ):
            last = step
            yield RoundStep(number, step, _stater(start, step))
        if last is not None:
            student = last.generator.copy()
        elif loop is not None:  # the checkpoint was made at the round's end
            student = original.copy()
            student.module.load_state_dict(loop["average"])
        if number + 1 == config.rounds:
            return
        if erase.gate == "image":
            continue  # it asks about f(z) as before, and aims at what g draws now
        left = residual(student, number)
        if left.counts["yes"] <= config.goal * len(left):
            return
        fit = next_fit(fit, left, erase, refit)


def _stater(start: dict[str, Any], step: Step) -> Callable[[], dict[str, Any]]:
    return lambda: {**start, "loop": step.state()}


def _in_loss(labeler: Labeler | None, names: tuple[str, ...], weight: float) -> Labeler | None:
    """Who is asked in the loss: with the attributes that are to be kept, if they weigh anything."""
    if labeler is not None and weight:
        return keeping(labeler, names)
    return labeler.labeler if isinstance(labeler, Beside) else labeler


def _restored(fit: Refit, resume: dict[str, Any]) -> Refit:
    targets = tuple(replace(fit.targets[0], direction=d) for d in resume["directions"].unbind())
    return Refit(targets, tuple(resume["numbers"]))
