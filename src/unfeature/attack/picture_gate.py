"""Pictures from nonsense: one that was attacked counts only if it looks like the original's.

Its distance, in a judge's features, to the nearest of many of the original's pictures must be at
most what is usual among these.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.evaluate.features import Extractor


@dataclass(frozen=True)
class PictureGate:
    """Tells pictures from nonsense.

    Attributes:
        extractor: of the features.
        known: of the pictures it knows.
        limit: the largest distance to the nearest known picture.
    """

    extractor: Extractor
    known: Float[Tensor, "m d"]
    limit: float

    @classmethod
    def of(
        cls, extractor: Extractor, images: Float[Tensor, "n c h w"], *, outside: float = 0.01
    ) -> "PictureGate":
        """From pictures of the right kind: half are known, and all but a share of the others
        pass."""
        features, _ = extractor(images)
        known, others = features[::2], features[1::2]
        limit = torch.cdist(others, known).amin(1).quantile(1 - outside).item()
        return cls(extractor, known, limit)

    def passes(self, images: Float[Tensor, "n c h w"]) -> Bool[Tensor, " n"]:
        """Which of them are pictures."""
        features, _ = self.extractor(images)
        near = [torch.cdist(part, self.known).amin(1) for part in features.split(1024)]
        return (torch.cat(near) <= self.limit).to(images.device)
