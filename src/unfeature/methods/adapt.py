"""Adapt-then-Unlearn: Tiwary et al., "Adapt then Unlearn: Exploring Parameter Space Semantics for
Unlearning in Generative Adversarial Networks" (TMLR 2025, arXiv 2309.14054).

First a copy of the generator is adapted to pictures that have the feature, held near the original
by elastic weight consolidation; its weights θ_N say where in parameter space the feature lies.
Then the original is fine-tuned on pictures that lack it and pushed away from there:

    L = L_adversarial + γ · L_repulsion,      L_repulsion = exp(−α · ‖θ − θ_N‖² / ‖θ_G − θ_N‖²)

L_repulsion is their L_EL2, with the distance in units of that between the original θ_G and θ_N, so
that one α serves generators of any size (the division is ours). All pictures are the original's
own, labelled by feedback: no training data is needed.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from unfeature.generator import Generator
from unfeature.methods.adversarial import AdversarialConfig, Duel
from unfeature.methods.base import Problem, pick
from unfeature.methods.ewc import consolidation, fisher
from unfeature.seeds import derive, rng


class Adapt(AdversarialConfig):
    """Away from a copy that was adapted to the feature."""

    kind: Literal["adapt-then-unlearn"] = "adapt-then-unlearn"
    adapt_steps: int = Field(200, ge=1)
    """Updates of the first stage."""
    consolidation: float = Field(10.0, ge=0)
    """λ of elastic weight consolidation in the first stage."""
    fisher_samples: int = Field(64, ge=1)
    """Pictures for the Fisher information."""
    alpha: float = Field(1.0, gt=0)
    """α, how fast repulsion falls with the distance."""
    gamma_repulsion: float = Field(1.0, ge=0)
    """γ, the weight of repulsion."""


def adapt_then_unlearn(problem: Problem, config: Adapt) -> Generator:
    """g after both stages."""
    first = config.model_copy(update={"steps": config.adapt_steps})
    having, without = partial(pick, problem.own(True)), partial(pick, problem.own(False))
    duel = Duel(problem.original, first, having, seed=derive(problem.seed, "adapt"))
    importance = fisher(duel.student.module, _refusals(duel, config, problem.seed))
    adapted = duel.run(consolidation(config.consolidation, importance, problem.original.module))
    duel = Duel(problem.original, config, without, seed=derive(problem.seed, "unlearn"))
    return duel.run(repulsion(config, problem.original.module, adapted.module))


def _refusals(duel: Duel, config: Adapt, seed: int) -> Iterator[Tensor]:
    """−log D(g(z)), one picture at a time."""
    latents = duel.student.sample_latents(config.fisher_samples, rng(seed, "fisher"))
    for part in latents.split(1):
        yield F.softplus(-duel.discriminator(duel.student(part))).mean()


def repulsion(
    config: Adapt, original: nn.Module, adapted: nn.Module
) -> Callable[[nn.Module], Tensor]:
    """γ · exp(−α · ‖θ − θ_N‖² / ‖θ_G − θ_N‖²), a function of the module that learns."""
    away = [p.detach().clone() for p in adapted.parameters()]

    def squared(module: nn.Module) -> Tensor:
        parts = [(p - a).square().sum() for p, a in zip(module.parameters(), away, strict=True)]
        return torch.stack(parts).sum()

    unit = squared(original).detach().clamp(min=1e-12)
    return lambda module: config.gamma_repulsion * (-config.alpha * squared(module) / unit).exp()
