"""Several attacks on the same latents: where one of them succeeds, an attacker who tries all does.

As the ensemble of Croce and Hein (ICML 2020, arXiv 2003.01690) counts it, section 5.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from unfeature.attack.base import Found
from unfeature.attack.outcome import Seen
from unfeature.evaluate.statistics import wilson


@dataclass(frozen=True)
class Ensemble:
    """What several attacks did to the same latents at one radius.

    Attributes:
        success: rows in which any came to have the attacked classifier see the feature.
        seen: by judge, the rows in which it saw the feature in what any of them made.
    """

    success: Bool[Tensor, " n"]
    seen: Seen

    @classmethod
    def none(cls, n: int) -> "Ensemble":
        """No attack yet, on n latents."""
        return cls(torch.zeros(n, dtype=torch.bool), {})

    def joined(self, found: Found, seen: Seen) -> "Ensemble":
        """With one attack more."""
        rows = {name: row.cpu() for name, row in seen.items()}
        return Ensemble(
            self.success | found.success.cpu(),
            {name: row | self.seen.get(name, row) for name, row in rows.items()},
        )

    def row(self) -> dict[str, Any]:
        """The figures, as plain values."""
        shares = {"naive": self.success, **self.seen}
        return {name: asdict(wilson(rows)) for name, rows in shares.items()}
