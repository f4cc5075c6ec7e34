"""The unlearning loss and the loop that minimises it.

Moon, Cho, Kim, "Feature Unlearning for Pre-trained GANs and VAEs" (AAAI 2024), section 3.3. With f
the frozen original, g the copy that learns, sim ∈ {0, 1} the gate and ẑ the erased latent:

    L_recon   = E[ (1 − sim) · |g(z) − f(z)|₁ ]
    L_unlearn = E[ sim · |g(z) − f(ẑ)|₁ ]
    L_percep  = E[ sim · (1 − MS-SSIM(g(z), f(ẑ))) ]
    L         = α · (L_unlearn + L_percep) + L_recon

|·|₁ is the mean over an image's pixels, and E the mean over the batch. One term is ours, and off
unless it is asked for: with A the labeller's log-odds of other attributes, and λ `config.keep`,

    L_keep    = λ · E[ (1 − sim + α · sim) · strayed(A(g(z)), A(f(ẑ))) ]
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.averaging import update_average
from unfeature.config import UnlearnConfig
from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler, look
from unfeature.msssim import MSSSIM
from unfeature.pool import LessonPool
from unfeature.robust import Attacker, with_attack
from unfeature.search import strayed


@dataclass(frozen=True)
class Loss:
    """The loss and its three parts, each a scalar tensor."""

    total: Float[Tensor, ""]
    recon: Float[Tensor, ""]
    unlearn: Float[Tensor, ""]
    percep: Float[Tensor, ""]


def unlearning_loss(
    drawn: Float[Tensor, "n c h w"],
    taught: Float[Tensor, "n c h w"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
    msssim: MSSSIM,
) -> Loss:
    """L and its parts for one batch.

    Args:
        drawn: g(z).
        taught: f(ẑ) where sim holds, f(z) elsewhere (there ẑ = z).
        sim: whether z carries the feature.
        alpha: α, the weight of unlearning against reconstruction.
    """
    n = len(drawn)
    distance = (drawn - taught).abs().flatten(1).mean(1)
    unlearn = torch.where(sim, distance, 0).sum() / n
    recon = torch.where(sim, 0, distance).sum() / n
    rows = sim.nonzero().squeeze(1)
    if len(rows):  # MS-SSIM is multiplied by sim, so the rest need not be computed
        chosen = drawn.index_select(0, rows), taught.index_select(0, rows)
        percep = (1 - msssim(*chosen)).sum() / n
    else:
        percep = torch.zeros_like(recon)
    return Loss(alpha * (unlearn + percep) + recon, recon, unlearn, percep)


def attributes_strayed(
    drawn: Float[Tensor, "n c h w"],
    taught: Float[Tensor, "n c h w"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
    labeler: Labeler,
) -> Float[Tensor, ""]:
    """L_keep / λ for one batch: how far attributes have strayed from the teacher's pictures
    (`unfeature.search.strayed`), a picture counting as much as in the paper's loss.

    Args:
        labeler: can be differentiated, and sees attributes in `look`.

    Raises:
        UserError: it sees none.
    """
    with torch.no_grad():
        kept = look(labeler, taught)[1]
    if not kept.shape[1]:
        raise UserError(
            f"unlearn.keep needs a labeller that sees other attributes; '{labeler.name}' sees none"
        )
    weight = torch.where(sim, alpha, 1.0)
    return (weight * strayed(look(labeler, drawn)[1], kept)).mean()


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
        loss, recon, unlearn, percep, keep: the loss and its parts in this batch.
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
    resume: dict[str, Any] | None = None,
    seed: int = 0,
) -> Iterator[Step]:
    """Fine-tune a copy of `original` until it draws f(ẑ) for every z; a `Step` after each update.

    Args:
        student: where g starts; a copy of `original` when not given. It is not changed.
        check: measures held-out latents every `config.check_every` steps; when what it finds has
            settled, the loop ends early.
        labeler: for `config.robust`: whose score the attacks climb; for `config.keep`: who sees the
            attributes.
        resume: what `Step.state()` returned; the loop goes on bit for bit as if uninterrupted.
        seed: the batches follow from it.

    Raises:
        UserError: the loss is no longer finite, or `config.robust` or `config.keep` without the
            labeller it needs.
    """
    config = config or UnlearnConfig()
    model = (student or original).copy().requires_grad(True)
    average = model.copy().requires_grad(False)
    optimizer = torch.optim.Adam(
        model.module.parameters(), config.learning_rate, config.betas, fused=True
    )
    attacker = None
    if config.robust:
        if labeler is None:
            raise UserError("unlearn.robust needs a labeller that a program can call")
        attacker = Attacker(original, eraser, labeler, config, seed=seed)
    if config.keep and labeler is None:
        raise UserError("unlearn.keep needs a labeller that a program can call")
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
        original, eraser, config.batch_size, chunks=config.pool, reuse=config.reuse, seed=seed
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
            drawn, lesson.images, lesson.edited, alpha=config.alpha, msssim=msssim
        )
        keep = torch.zeros_like(loss.total)
        if config.keep and labeler is not None:
            keep = config.keep * attributes_strayed(
                drawn, lesson.images, lesson.edited, alpha=config.alpha, labeler=labeler
            )
        whole = loss.total + keep
        optimizer.zero_grad(set_to_none=True)
        whole.backward()
        optimizer.step()
        update_average(average.module, model.module, decay=config.average, step=index)
        done = index + 1
        values = torch.stack([whole, loss.recon, loss.unlearn, loss.percep, keep]).tolist()
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
        total, recon, forgotten, percep, strays = values
        yield Step(
            done, total, recon, forgotten, percep, strays, edited, rate, found, average, state
        )
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
