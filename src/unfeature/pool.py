"""Lessons: latents with the picture the student should draw for each, made once and used often.

The teacher's picture for a latent never changes, and finding it (the image gate draws several
pictures to find one) can cost more than the student's own update. So lessons are made in chunks,
and each is used `reuse` times on average before a fresh one takes its place.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.erase import Eraser
from unfeature.generator import Generator
from unfeature.seeds import rng


@dataclass(frozen=True)
class Lesson:
    """Latents z, the teacher's pictures f(ẑ), and where ẑ differs from z."""

    latents: Float[Tensor, "n *latent"]
    images: Float[Tensor, "n c h w"]
    edited: Bool[Tensor, " n"]


@torch.inference_mode()
def teach(original: Generator, eraser: Eraser, latents: Float[Tensor, "n *latent"]) -> Lesson:
    """The lesson for some latents: one pass of f over ẑ, which is z where the gate is shut."""
    erasure = eraser.erase(latents)
    images = original(erasure.latents) if erasure.images is None else erasure.images
    return Lesson(latents, images, erasure.edited)


class LessonPool:
    """A ring of lesson chunks, of which `batch` draws without replacement.

    What it holds at step s is a function of (seed, s) alone, so a resumed run meets the same
    lessons in the same order.

    Args:
        size: latents a chunk, and a batch.
        chunks: how many chunks are kept.
        reuse: a new chunk replaces the oldest every so many steps; 1 with `chunks=1` makes every
            batch anew, as the paper does.
    """

    def __init__(
        self,
        original: Generator,
        eraser: Eraser,
        size: int,
        *,
        chunks: int = 16,
        reuse: int = 8,
        seed: int = 0,
    ):
        self.original, self.eraser, self.size = original, eraser, size
        self.chunks, self.reuse, self.seed = chunks, reuse, seed
        self._held: dict[int, int] = {}  # slot → chunk
        device = original.device
        rows = size * chunks
        self._latents = torch.empty(rows, *original.latent_shape, device=device)
        self._images = torch.empty(rows, *original.image_shape, device=device)
        self._edited = torch.empty(rows, dtype=torch.bool, device=device)

    def batch(self, step: int) -> Lesson:
        """The lesson of one step, after the chunks it needs have been made."""
        made = self.made(step)
        live = range(max(0, made - self.chunks), made)
        for chunk in live:
            if self._held.get(chunk % self.chunks) != chunk:
                self._make(chunk)
        rows = torch.randperm(len(live) * self.size, generator=rng(self.seed, "batch", step))
        picked = rows[: self.size].to(self._latents.device)
        return Lesson(self._latents[picked], self._images[picked], self._edited[picked])

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
        lesson = teach(self.original, self.eraser, self.original.sample_latents(self.size, random))
        slot = chunk % self.chunks
        rows = slice(slot * self.size, (slot + 1) * self.size)
        self._latents[rows] = lesson.latents
        self._images[rows] = lesson.images
        self._edited[rows] = lesson.edited
        self._held[slot] = chunk
