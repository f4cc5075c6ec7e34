"""Data redaction: Kong and Chaudhuri, "Data Redaction from Pre-trained GANs" (SaTML 2023, arXiv
2206.14389), the data-based form.

Adversarial fine-tuning in which the pictures to be redacted, Ω, are shown to D as drawn ones, so
that D learns to refuse them and g to avoid them:

    max_D  E_{x ∼ X∖Ω} log D(x) + (1 − λ) · E_z log(1 − D(g(z))) + λ · E_{x ∼ Ω} log(1 − D(x))
"""

from functools import partial
from typing import Literal

from pydantic import Field

from unfeature.generator import Generator
from unfeature.methods.adversarial import AdversarialConfig, Duel
from unfeature.methods.base import Problem, pick


class Redaction(AdversarialConfig):
    """Against a fresh discriminator that refuses pictures with the feature."""

    kind: Literal["redaction"] = "redaction"
    share: float = Field(0.2, ge=0, lt=1)
    """λ: the weight of the redacted pictures among those that D is to refuse."""


def redaction(problem: Problem, config: Redaction) -> Generator:
    """g after data redaction. Needs data."""
    having, without = problem.sorted_data()
    duel = Duel(
        problem.original,
        config,
        partial(pick, without),
        seed=problem.seed,
        unwanted=partial(pick, having),
        share=config.share,
    )
    return duel.run()
