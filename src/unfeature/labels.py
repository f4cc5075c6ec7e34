"""LatentSet: latents with answers to one question, and where the answers came from."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor

from unfeature.adapters.files import load_tensors, read_json, save_tensors, write_json
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.seeds import derive

YES, UNSURE, NO = 1, 0, -1
LEAST = 8
"""Answers of each kind that whatever learns from them needs."""


@dataclass(frozen=True)
class LatentSet:
    """Latents of generated images, each labelled for one feature.

    Attributes:
        latents: one row a picture.
        labels: 1 the picture shows the feature, −1 it does not, 0 nobody can tell.
        scores: how clearly, in the labeller's unit; ±1 where a person answered.
        seeds: the seed each latent was drawn from (`Generator.latents_from_seeds`).
        feature: what was asked, e.g. "thick stroke".
        labeled_by: who answered and with what, e.g. "function unfeature.features…:thickness > 3.1".
        generator: fingerprint of the generator that drew the pictures.
    """

    latents: Float[Tensor, "n *latent"]
    labels: Int8[Tensor, " n"]
    scores: Float[Tensor, " n"]
    seeds: Int[Tensor, " n"]
    feature: str
    labeled_by: str
    generator: str

    def __post_init__(self) -> None:
        if not len(self.latents):
            raise UserError(f"the labels for '{self.feature}' are empty; label at least one latent")
        if not (len(self.latents) == len(self.labels) == len(self.scores) == len(self.seeds)):
            raise UserError(f"the label file for '{self.feature}' has parts of different lengths")
        if not self.latents.isfinite().all():
            raise UserError(f"the latents labelled for '{self.feature}' hold NaN or infinity")

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def positives(self) -> Float[Tensor, "p *latent"]:
        """D⁺: latents whose picture shows the feature."""
        return self.latents[self.labels == YES]

    @property
    def negatives(self) -> Float[Tensor, "m *latent"]:
        """D⁻: latents whose picture does not."""
        return self.latents[self.labels == NO]

    @property
    def counts(self) -> dict[str, int]:
        """How many answered yes, no and unsure."""
        answers = (("yes", YES), ("no", NO), ("unsure", UNSURE))
        return {name: int((self.labels == value).sum()) for name, value in answers}

    def require_both(self, least: int = LEAST) -> "LatentSet":
        """The set itself, when it has at least `least` answers of each kind.

        Raises:
            UserError: too few pictures with, or without, the feature.
        """
        counts = self.counts
        for kind, word in (("yes", "show"), ("no", "do not show")):
            if counts[kind] < least:
                raise UserError(
                    f"only {counts[kind]} of {len(self)} labelled pictures {word} "
                    f"'{self.feature}'; at least {least} are needed: label more, or move the "
                    "labeller's threshold"
                )
        return self

    def require_generator(self, generator: Generator) -> "LatentSet":
        """The set itself, when `generator` is the one that drew its pictures.

        Raises:
            UserError: it is another one.
        """
        if self.generator != generator.fingerprint:
            raise UserError(
                f"these labels for '{self.feature}' belong to another generator "
                f"(fingerprint {self.generator}, this one is {generator.fingerprint}); "
                "label this generator's own pictures"
            )
        return self

    def where(self, keep: Tensor) -> "LatentSet":
        """The rows that a boolean mask or an index tensor picks."""
        return replace(
            self,
            latents=self.latents[keep],
            labels=self.labels[keep],
            scores=self.scores[keep],
            seeds=self.seeds[keep],
        )

    def sure(self) -> "LatentSet":
        """Without the rows that nobody could tell."""
        return self.where(self.labels != UNSURE)

    def split(self, share: float, rng: torch.Generator) -> tuple["LatentSet", "LatentSet"]:
        """Two disjoint parts, the first with `share` of the rows of each answer."""
        first: list[Tensor] = []
        second: list[Tensor] = []
        for value in (YES, NO, UNSURE):
            rows = (self.labels == value).nonzero().squeeze(1)
            rows = rows[torch.randperm(len(rows), generator=rng)]
            cut = round(share * len(rows))
            first.append(rows[:cut])
            second.append(rows[cut:])
        return self.where(torch.cat(first).sort().values), self.where(
            torch.cat(second).sort().values
        )

    def merge(self, other: "LatentSet") -> "LatentSet":
        """Both sets as one; where both answered for the same seed, `other`'s answer holds.

        Raises:
            UserError: another feature or another generator.
        """
        if (self.feature, self.generator) != (other.feature, other.generator):
            raise UserError(
                f"cannot merge labels for '{self.feature}' of generator {self.generator} with "
                f"labels for '{other.feature}' of generator {other.generator}"
            )
        kept = self.where(~torch.isin(self.seeds, other.seeds))
        who = dict.fromkeys([self.labeled_by, other.labeled_by])
        return replace(
            self,
            latents=torch.cat([kept.latents, other.latents]),
            labels=torch.cat([kept.labels, other.labels]),
            scores=torch.cat([kept.scores, other.scores]),
            seeds=torch.cat([kept.seeds, other.seeds]),
            labeled_by=" + ".join(who),
        )

    def save(self, path: str | Path) -> None:
        """Write `path`.safetensors and `path`.json."""
        tensors = {
            f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)
        }
        notes = {k: v for k, v in asdict(self).items() if isinstance(v, str)}
        save_tensors(Path(f"{path}.safetensors"), tensors)
        write_json(Path(f"{path}.json"), {**notes, **self.counts})

    @classmethod
    def load(cls, path: str | Path) -> "LatentSet":
        """What `save` wrote.

        Raises:
            UserError: a file is missing, cut short or lacks a part.
        """
        tensors = load_tensors(Path(f"{path}.safetensors"))
        notes = read_json(Path(f"{path}.json"))
        values = {**tensors, **notes}
        lacking = [field.name for field in fields(cls) if field.name not in values]
        if lacking:
            raise UserError(f"the labels in '{path}' lack {', '.join(lacking)}; label again")
        return cls(**{field.name: values[field.name] for field in fields(cls)})


def sample_seeds(n: int, seed: int, purpose: str) -> Int[Tensor, " n"]:
    """`n` per-picture seeds for one purpose; the first m of them are those of n = m.

    Raises:
        UserError: n < 1.
    """
    if n < 1:
        raise UserError(f"n is {n}; ask for at least one picture")
    return torch.tensor([derive(seed, purpose, i) for i in range(n)], dtype=torch.int64)


def label(
    original: Generator,
    n: int = 2000,
    *,
    by: Labeler,
    feature: str = "",
    seed: int = 0,
    seeds: Int[Tensor, " n"] | None = None,
    unsure: float = 0.0,
    batch_size: int = 256,
) -> LatentSet:
    """Draw pictures and ask a labeller about each.

    Args:
        n: how many; their seeds follow from `seed`.
        feature: what is asked; the labeller's name when not given.
        seeds: the pictures' own seeds, instead of `n` and `seed`.
        unsure: scores nearer to zero than this count as unsure, in the labeller's unit.
    """
    if seeds is None:
        seeds = sample_seeds(n, seed, "label")
    latents = original.latents_from_seeds(seeds.tolist())
    scores = torch.cat([score_images(original, by, part) for part in latents.split(batch_size)])
    labels = torch.where(scores > 0, YES, NO)
    labels = torch.where(scores.abs() < unsure, UNSURE, labels).to(torch.int8)
    return LatentSet(
        latents=latents.cpu(),
        labels=labels.cpu(),
        scores=scores.cpu(),
        seeds=seeds,
        feature=feature or by.name,
        labeled_by=by.name,
        generator=original.fingerprint,
    )


@torch.inference_mode()
def score_images(
    generator: Generator, labeler: Labeler, latents: Float[Tensor, "n *latent"]
) -> Float[Tensor, " n"]:
    """The labeller's scores for the pictures of one batch of latents."""
    return labeler.score(generator(latents))
