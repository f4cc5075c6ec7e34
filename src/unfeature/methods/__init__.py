"""Methods to compare with, all behind one interface: (problem, settings) → a generator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unfeature.generator import Generator
from unfeature.methods.adapt import Adapt, adapt_then_unlearn
from unfeature.methods.amnesia import Amnesia, selective_amnesia
from unfeature.methods.base import Problem
from unfeature.methods.finetune import FinetuneGAN, FinetuneVAE, finetune_gan, finetune_vae
from unfeature.methods.redaction import Redaction, redaction
from unfeature.methods.rejection import Rejection, rejection


@dataclass(frozen=True)
class Method:
    """A way to make a generator stop.

    Attributes:
        run: what does it.
        needs_data: whether it needs training data.
        weights: whether the result is a set of weights; else it is a filter, which can be left out.
        source: where it comes from; noted in what it makes.
    """

    run: Callable[[Problem, Any], Generator]
    needs_data: bool
    source: str
    weights: bool = True


METHODS: dict[str, Method] = {
    "finetune-gan": Method(
        finetune_gan, True, "fine-tuning on clean data, as Wang et al., arXiv 1805.01677"
    ),
    "finetune-vae": Method(
        finetune_vae, True, "fine-tuning on clean data, Kingma and Welling's bound, arXiv 1312.6114"
    ),
    "redaction": Method(redaction, True, "Kong and Chaudhuri, arXiv 2206.14389"),
    "adapt-then-unlearn": Method(adapt_then_unlearn, False, "Tiwary et al., arXiv 2309.14054"),
    "selective-amnesia": Method(selective_amnesia, False, "Heng and Soh, arXiv 2305.10120"),
    "rejection": Method(
        rejection, False, "rejection sampling (von Neumann, 1951), a filter", weights=False
    ),
}
"""By the `kind` of their settings."""

__all__ = [
    "METHODS",
    "Adapt",
    "Amnesia",
    "FinetuneGAN",
    "FinetuneVAE",
    "Method",
    "Problem",
    "Redaction",
    "Rejection",
]
