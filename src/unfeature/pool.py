"""Lessons: latents with the picture the student should draw for each, made once and used often.

The teacher's picture for a latent never changes, and finding it (the image gate draws several
pictures to find one) can cost more than the student's own update. So lessons are made in chunks,
and each is used `reuse` times on average before a fresh one takes its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.erase import Eraser
from unfeature.generator import Generator
from unfeature.seeds import rng

Answer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Pictures, and where they were edited → a labeller's scores (n) and log-odds (n, k) of them."""


@dataclass(frozen=True)
class Lesson:
    """Latents z, the teacher's pictures f(ẑ), and where ẑ differs from z; and what a labeller says
    of these pictures, if one was asked (else 0, and no odds)."""

    latents: Float[Tensor, "n *latent"]
    images: Float[Tensor, "n c h w"]
    edited: Bool[Tensor, " n"]
    scores: Float[Tensor, " n"]
    odds: Float[Tensor, "n k"]


@torch.inference_mode()
def teach(
    original: Generator,
    eraser: Eraser,
    latents: Float[Tensor, "n *latent"],
    answer: Answer | None = None,
) -> Lesson:
    """The lesson for some latents: what the eraser would have drawn for them."""
    erasure = eraser.erase(latents)
    images = erasure.pictures(original)
    if answer is None:
        nothing = images.new_zeros(len(images), 0)
        return Lesson(latents, images, erasure.edited, nothing.sum(1), nothing)
    return Lesson(latents, images, erasure.edited, *answer(images, erasure.edited))


class LessonPool:
    """A ring of lesson chunks, of which `batch` draws without replacement.

    What it holds at step s is a function of (seed, s) alone, so a resumed run meets the same
    lessons in the same order.

    Args:
        size: latents a chunk, and a batch.
        chunks: how many chunks are kept.
        reuse: a new chunk replaces the oldest every so many steps; 1 with `chunks=1` makes every
            batch anew, as the paper does.
        answer: who is asked of the teacher's pictures, once for each.
    """

    def __init__(
        self,
        original: Generator,
        eraser: Eraser,
        size: int,
        *,
        chunks: int = 16,
        reuse: int = 8,
        answer: Answer | None = None,
        seed: int = 0,
    ):
        self.original, self.eraser, self.size, self.answer = original, eraser, size, answer
        self.chunks, self.reuse, self.seed = chunks, reuse, seed
        self._held: dict[int, int] = {}  # slot → chunk
        self._ring: list[Tensor] = []  # a lesson's parts, of all chunks; made with the first

    def batch(self, step: int) -> Lesson:
        """The lesson of one step, after the chunks it needs have been made."""
        made = self.made(step)
        live = range(max(0, made - self.chunks), made)
        for chunk in live:
            if self._held.get(chunk % self.chunks) != chunk:
                self._make(chunk)
        rows = torch.randperm(len(live) * self.size, generator=rng(self.seed, "batch", step))
        picked = rows[: self.size].to(self.original.device)
        return Lesson(*(part[picked] for part in self._ring))

    def made(self, step: int) -> int:
        """How many chunks have been made when `step` begins: a few to start with, one a step
        until the ring is full, then one every `reuse` steps."""
        first = min(self.chunks, max(1, self.chunks // 4))
        filling = self.chunks - first
        if step <= filling:
            return first + step
        return self.chunks + (step - filling) // self.reuse

    def _make(self, chunk: int) -> None:
        random = rng(self.seed, "lessons", chunk)
        latents = self.original.sample_latents(self.size, random)
        lesson = teach(self.original, self.eraser, latents, self.answer)
        parts = [getattr(lesson, field.name) for field in fields(lesson)]
        if not self._ring:
            rows = self.size * self.chunks
            self._ring = [
                torch.empty(rows, *part.shape[1:], dtype=part.dtype, device=part.device)
                for part in parts
            ]
        slot = chunk % self.chunks
        for ring, part in zip(self._ring, parts, strict=True):
            ring[slot * self.size : (slot + 1) * self.size] = part
        self._held[slot] = chunk
