"""The loop that minimises the unlearning loss (`unfeature.loss`)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from unfeature.averaging import pull_back, update_average
from unfeature.config import UnlearnConfig
from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.loss import Question, asked_loss, unlearning_loss
from unfeature.msssim import MSSSIM
from unfeature.pool import LessonPool
from unfeature.robust import Attacker, with_attack


@dataclass(frozen=True)
class Check:
    """A look at held-out latents: share of pictures with the feature, and the error elsewhere.

    Attributes:
        target_ratio: share of g(z) that shows the feature, in [0, 1].
        recon: mean L1 between g(z) and f(z) where f(z) does not show it; images in [−1, 1].
    """

    target_ratio: float
    recon: float


@dataclass(frozen=True)
class Step:
    """One update of the weights.

    Attributes:
        index: updates done so far, this one included.
        loss, recon, unlearn, percep, edges, gone, keep: the loss and its parts in this batch.
        edited: share of the batch whose gate was open.
        learning_rate: Adam's step size in this update.
        check: the held-out check, in the steps that made one.
        generator: the unlearned generator as it is *now* (averaged weights); copy it to keep it.
        state: call it for everything a checkpoint needs, as of now.
    """

    index: int
    loss: float
    recon: float
    unlearn: float
    percep: float
    edges: float
    gone: float
    keep: float
    edited: float
    learning_rate: float
    check: Check | None
    generator: Generator
    state: Callable[[], dict[str, Any]]


def unlearn(
    original: Generator,
    eraser: Eraser,
    config: UnlearnConfig | None = None,
    *,
    student: Generator | None = None,
    check: Callable[[Generator], Check] | None = None,
    labeler: Labeler | None = None,
    sharpen: float = 0.0,
    resume: dict[str, Any] | None = None,
    seed: int = 0,
) -> Iterator[Step]:
    """Fine-tune a copy of `original` until it draws f(ẑ) for every z; a `Step` after each update.

    Args:
        student: where g starts; a copy of `original` when not given. It is not changed.
        check: measures held-out latents every `config.check_every` steps; when what it finds has
            settled, the loop ends early.
        labeler: for `config.robust`: whose score the attacks climb; for `config.gone` and
            `config.keep`: who sees the feature and the attributes.
        sharpen: for `config.gone`: the labeller sees the pictures sharpened so much, too.
        resume: what `Step.state()` returned; the loop goes on bit for bit as if uninterrupted.
        seed: the batches follow from it.

    Raises:
        UserError: the loss is no longer finite, or `config.robust`, `config.gone` or `config.keep`
            without the labeller it needs.
    """
    config = config or UnlearnConfig()
    model = (student or original).copy().requires_grad(True)
    average = model.copy().requires_grad(False)
    optimizer = torch.optim.Adam(
        model.module.parameters(), config.learning_rate, config.betas, fused=True
    )
    attacker = None
    for name in ("robust", "gone", "keep"):
        if getattr(config, name) and labeler is None:
            raise UserError(f"unlearn.{name} needs a labeller that a program can call")
    question = answer = None
    if (config.gone or config.keep) and labeler is not None:
        question = Question(labeler, config.gone, config.keep, sharpen)
        answer = question.answer
    if config.robust and labeler is not None:
        attacker = Attacker(original, eraser, labeler, config, answer=answer, seed=seed)
    start, history = 0, []
    if resume is not None:
        start = resume["step"]
        history = [Check(**past) for past in resume["checks"]]
        model.module.load_state_dict(resume["model"])
        average.module.load_state_dict(resume["average"])
        optimizer.load_state_dict(resume["optimizer"])
        if attacker is not None:
            attacker.load_state_dict(resume["attacker"])
        if settled(history, config):  # it had already ended early
            return
    pool = LessonPool(
        original,
        eraser,
        config.batch_size,
        chunks=config.pool,
        reuse=config.reuse,
        answer=answer,
        seed=seed,
    )
    msssim = MSSSIM(*original.image_shape[1:], device=original.device)

    def state() -> dict[str, Any]:
        return {
            "step": done,
            "checks": [vars(past) for past in history],
            "model": model.module.state_dict(),
            "average": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "attacker": attacker.state_dict() if attacker is not None else {},
        }

    for index in range(start, config.steps):
        lesson = pool.batch(index)
        if attacker is not None:
            lesson = with_attack(lesson, attacker.lesson(model, index))
        rate = learning_rate(index, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        drawn = model(lesson.latents)
        loss = unlearning_loss(
            drawn,
            lesson.images,
            lesson.edited,
            alpha=config.alpha,
            msssim=msssim,
            edges=config.edges,
        )
        gone = keep = torch.zeros_like(loss.total)
        if question is not None:
            asked = asked_loss(
                question, drawn, lesson.scores, lesson.odds, lesson.edited, alpha=config.alpha
            )
            gone, keep = asked.gone, asked.keep
        whole = loss.total + gone + keep
        optimizer.zero_grad(set_to_none=True)
        whole.backward()
        optimizer.step()
        if config.tether:
            pull_back(model.module, original.module, config.tether)
        update_average(average.module, model.module, decay=config.average, step=index)
        done = index + 1
        parts = [whole, loss.recon, loss.unlearn, loss.percep, loss.edges, gone, keep]
        values = torch.stack(parts).tolist()
        if not math.isfinite(values[0]):
            raise UserError(
                f"the loss is {values[0]} at step {done}; lower unlearn.learning_rate "
                f"(now {config.learning_rate:g})"
            )
        found = None
        if check is not None and done % config.check_every == 0:
            found = check(average)
            history.append(found)
        edited = lesson.edited.float().mean().item()
        total, recon, forgotten, percep, rough, left, strays = values
        losses = (total, recon, forgotten, percep, rough, left, strays)
        yield Step(done, *losses, edited, rate, found, average, state)
        if found is not None and settled(history, config):
            return


def learning_rate(index: int, config: UnlearnConfig) -> float:
    """A linear warm-up, then a cosine from `learning_rate` down to `final_rate` of it."""
    if index < config.warmup:
        return config.learning_rate * (index + 1) / config.warmup
    progress = (index - config.warmup) / max(1, config.steps - config.warmup)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)


def settled(history: list[Check], config: UnlearnConfig) -> bool:
    """Whether neither figure has got better over the last `patience` checks.

    Better means: a target ratio lower by more than `ratio_tolerance`, or a reconstruction error
    lower by more than the share `recon_tolerance` of itself.
    """
    if len(history) <= config.patience:
        return False
    before, recent = history[: -config.patience], history[-config.patience :]
    ratio = min(c.target_ratio for c in before) - min(c.target_ratio for c in recent)
    best = min(c.recon for c in before)
    recon = best - min(c.recon for c in recent)
    return ratio <= config.ratio_tolerance and recon <= config.recon_tolerance * best
