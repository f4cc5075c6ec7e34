"""Selective Amnesia: Heng and Soh, "Selective Amnesia: A Continual Learning Approach to Forgetting
in Deep Generative Models" (NeurIPS 2023, arXiv 2305.10120), equation 6, for a VAE's decoder.

    L = − E_{forget} log p(x̃ | z) − E_{remember} log p(x | z) + λ/2 · Σ_i F_i · (θ_i − θ*_i)²

What is remembered is replayed from the original, so no data is needed. Theirs is a conditional
model, in which a class is forgotten; here the labeller's answer about f(z) stands for the class,
and the decoder alone learns: for z whose picture shows the feature, x̃ is a surrogate; for others,
x = f(z). p is Gaussian with unit variance, so −log p = |x − g(z)|²/2 up to a constant and F is the
diagonal of JᵀJ, J = ∂g/∂θ.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from unfeature.averaging import update_average
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator
from unfeature.methods.base import Problem, TrainedConfig, pick
from unfeature.methods.ewc import consolidation, fisher
from unfeature.seeds import rng
from unfeature.training.loop import update


class Amnesia(TrainedConfig):
    """Elastic weight consolidation and replay."""

    kind: Literal["selective-amnesia"] = "selective-amnesia"
    surrogate: Literal["clean", "noise"] = "clean"
    """What is learnt in place of the feature: the original's pictures without it, at random, or
    uniform noise, as in the paper's digits."""
    consolidation: float = Field(1.0, ge=0)
    """λ."""
    fisher_samples: int = Field(256, ge=1)
    """Pictures for the Fisher information."""


def selective_amnesia(problem: Problem, config: Amnesia) -> Generator:
    """g after Selective Amnesia."""
    original = problem.original
    student = original.copy().requires_grad(True)
    importance = fisher(student.module, _likelihoods(problem, student, config.fisher_samples))
    penalty = consolidation(config.consolidation, importance, original.module)
    average = student.copy().requires_grad(False)
    optimizer = torch.optim.Adam(student.module.parameters(), config.learning_rate, fused=True)
    clean = problem.own(False)
    random = rng(problem.seed, "amnesia")
    for index in range(config.steps):
        latents = original.sample_latents(config.batch_size, random)
        with torch.no_grad():
            wanted = original(latents)
        forget = judged(problem.labeler, wanted) > 0
        if config.surrogate == "noise":
            instead = torch.rand(wanted.shape, generator=random).to(wanted) * 2 - 1
        else:
            instead = pick(clean, len(wanted), random).to(wanted)
        wanted = torch.where(forget[:, None, None, None], instead, wanted)
        distance = (student(latents) - wanted).square().flatten(1).sum(1).mean() / 2
        update(optimizer, distance + penalty(student.module))
        update_average(average.module, student.module, decay=0.98, step=index)
    return average


def _likelihoods(problem: Problem, student: Generator, n: int) -> Iterator[Tensor]:
    """−log p(x | z) with x ~ p(x | z), one sample at a time."""
    random = rng(problem.seed, "fisher")
    for latent in problem.original.sample_latents(n, random).split(1):
        drawn = student(latent)
        x = drawn.detach() + torch.randn(drawn.shape, generator=random).to(drawn)
        yield (x - drawn).square().sum() / 2
