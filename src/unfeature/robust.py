"""Lessons from an attacker: a part of every batch is what an attack on the current g answers.

Adversarial training (Madry et al., ICLR 2018, arXiv 1706.06083) in the latent: a few steps of
gradient ascent (see `unfeature.attack.pgd`) take z to a z′ near it at which the labeller sees the
feature in g(z′), or comes nearest to it. There g learns what it learns everywhere: f(ẑ′), the
erased picture, or f(z′) where the original's own picture lacks the feature.
"""

from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.pgd import uphill
from unfeature.attack.plausible import plausible
from unfeature.attack.region import Ball, into_both
from unfeature.attack.start import begin
from unfeature.config import UnlearnConfig
from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.pool import Answer, Lesson, teach
from unfeature.seeds import rng


class Attacker:
    """Latents that go on climbing the labeller's score while g learns.

    Each row is climbed from where the last time left it (a warm start) until, after
    `config.robust_keep` times, a fresh one takes its place; the rows' turns are spread evenly.
    Everything follows from (seed, step), g's weights and `state_dict`.
    """

    def __init__(
        self,
        original: Generator,
        eraser: Eraser,
        labeler: Labeler,
        config: UnlearnConfig,
        *,
        answer: Answer | None = None,
        seed: int,
    ):
        self.original, self.eraser, self.labeler = original, eraser, labeler
        self.config, self.answer, self.seed = config, answer, seed
        self.region = plausible(original)
        self.rows = round(config.robust * config.batch_size)
        if not self.rows:
            raise UserError(
                f"unlearn.robust is {config.robust:g}, less than one of a batch of "
                f"{config.batch_size} latents; raise it or unlearn.batch_size"
            )
        self.centers = self.latents = self._fresh(self.rows, "start")
        self._lesson: Lesson | None = None

    def lesson(self, student: Generator, step: int) -> Lesson:
        """The lesson of one step; every `config.robust_every` steps it is made anew."""
        if step % self.config.robust_every == 0:
            self._renew(step)
            self.latents = self.climb(student, self.latents, self.centers)
            self._lesson = None
        if self._lesson is None:
            self._lesson = teach(self.original, self.eraser, self.latents, self.answer)
        return self._lesson

    def climb(
        self,
        student: Generator,
        latents: Float[Tensor, "n *latent"],
        centers: Float[Tensor, "n *latent"],
    ) -> Float[Tensor, "n *latent"]:
        """A few steps uphill, each ε/3 long, inside the balls and among plausible latents."""
        ball = Ball(centers, self.config.robust_epsilon)
        length = latents.new_full((len(latents),), self.config.robust_epsilon / 3)
        wanted = [p.requires_grad for p in student.module.parameters()]
        student.requires_grad(False)
        for _ in range(self.config.robust_steps):
            here = latents.detach().requires_grad_(True)
            score = self.labeler.score(student(here)).sum()
            (slope,) = torch.autograd.grad(score, here)
            moved = here.detach() + uphill(slope, ball.norm, length)
            latents = into_both(moved, ball, self.region, times=3)
        for parameter, flag in zip(student.module.parameters(), wanted, strict=True):
            parameter.requires_grad_(flag)
        return latents.detach()

    def _renew(self, step: int) -> None:
        """Fresh rows for those whose time is over."""
        turn = step // self.config.robust_every
        old = (torch.arange(self.rows) + turn) % self.config.robust_keep == 0
        if not old.any():
            return
        centers = self._fresh(int(old.sum()), step)
        noise = torch.randn(centers.shape, generator=rng(self.seed, "attacker noise", step))
        ball = Ball(centers, self.config.robust_epsilon)
        started = begin(ball, self.region, noise.to(centers.device))
        self.centers, self.latents = self.centers.clone(), self.latents.clone()
        self.centers[old], self.latents[old] = centers, started

    def _fresh(self, n: int, step: int | str) -> Float[Tensor, "n *latent"]:
        drawn = self.original.sample_latents(n, rng(self.seed, "attacker", step))
        return self.region.project(drawn)

    def state_dict(self) -> dict[str, Any]:
        return {"centers": self.centers, "latents": self.latents}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.original.device
        self.centers, self.latents = (state[key].to(device) for key in ("centers", "latents"))
        self._lesson = None


def with_attack(lesson: Lesson, attacked: Lesson) -> Lesson:
    """A batch whose last rows are the attacker's."""
    kept = len(lesson.latents) - len(attacked.latents)
    pairs = ((getattr(lesson, f.name), getattr(attacked, f.name)) for f in fields(lesson))
    return Lesson(*(torch.cat([part[:kept], other]) for part, other in pairs))
