"""A classifier as the labeller: any module that gives logits, or probabilities made logits."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError


@dataclass(frozen=True)
class ClassifierLabeler:
    """score = (log-odds of the class − threshold) / temperature.

    With several logits the log-odds of class k are log p_k − log(1 − p_k) under a softmax over
    them; with one logit it is that logit.

    Attributes:
        module: images in [−1, 1] → (n,) or (n, 1) logits, or (n, k) logits.
        reference: where the module comes from, for provenance.
        target: the class's index; ignored with one logit.
        threshold: log-odds above which the picture shows the feature.
        temperature: what counts as one unit of score.
    """

    module: Callable[[Tensor], Tensor]
    reference: str
    target: int = 0
    threshold: float = 0.0
    temperature: float = 1.0
    target_name: str = field(default="")

    def __post_init__(self) -> None:
        if isinstance(self.module, nn.Module):
            self.module.eval()

    @property
    def name(self) -> str:
        of = f" class {self.target_name or self.target}"
        return f"classifier {self.reference}{of}"

    def score(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        try:
            logits = self.module(images)
        except RuntimeError as error:
            raise UserError(
                f"classifier '{self.reference}' does not take images of "
                f"{list(images.shape[1:])}: {str(error).splitlines()[0]}"
            ) from error
        if logits.ndim == 2 and logits.shape[1] > 1:
            if not 0 <= self.target < logits.shape[1]:
                raise UserError(
                    f"classifier '{self.reference}' has {logits.shape[1]} classes; "
                    f"there is no class {self.target}"
                )
            log_p = logits.log_softmax(1)
            others = torch.cat([log_p[:, : self.target], log_p[:, self.target + 1 :]], dim=1)
            odds = log_p[:, self.target] - others.logsumexp(1)
        else:
            odds = logits.reshape(len(images))
        return (odds - self.threshold) / self.temperature
