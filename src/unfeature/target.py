"""TargetVector: the direction in latent space that carries the feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.adapters.files import load_tensors, read_json, save_tensors, write_json
from unfeature.errors import UserError
from unfeature.labels import NO, YES, LatentSet

Method = Literal["mean", "logistic", "lda"]


@dataclass(frozen=True)
class TargetVector:
    """A frozen unit vector z_e that points towards the feature.

    Attributes:
        direction: shape of a flattened latent, norm 1.
        method: how it was found.
        protected: attributes whose directions it is orthogonal to.
        feature: what it is the direction of.
        generator: fingerprint of the generator whose latents it lives in.
    """

    direction: Float[Tensor, " d"]
    method: str
    protected: tuple[str, ...]
    feature: str
    generator: str

    def score(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, " n"]:
        """proj(z) = z · z_e for each latent."""
        return latents.flatten(1) @ self.direction.to(latents.device)

    @classmethod
    def fit(
        cls,
        labels: LatentSet,
        *,
        method: Method = "mean",
        protect: Mapping[str, LatentSet] | None = None,
        regularization: float = 1.0,
    ) -> "TargetVector":
        """Find the direction that tells D⁺ from D⁻.

        Args:
            method: "mean", the difference of the class means (the paper, section 3.2);
                "logistic", L2-regularised logistic regression; "lda", Fisher's discriminant with
                the Ledoit-Wolf shrunk covariance.
            protect: labels for other attributes; the result is made orthogonal to the difference
                of means of each, so that moving along it leaves their scores as they were.
            regularization: strength of the logistic regression's L2 penalty; 1 / C.

        Raises:
            UserError: fewer than eight labels of either kind, or a direction that vanishes once
                the protected ones are taken out.
        """
        direction = raw_direction(labels, method=method, regularization=regularization)
        direction = orthogonalize(
            direction, {name: raw_direction(other) for name, other in (protect or {}).items()}
        )
        return cls(direction, method, tuple(protect or ()), labels.feature, labels.generator)

    def save(self, path: str | Path) -> None:
        """Write `path`.safetensors and `path`.json."""
        save_tensors(Path(f"{path}.safetensors"), {"direction": self.direction})
        notes: dict[str, Any] = {
            "method": self.method,
            "protected": list(self.protected),
            "feature": self.feature,
            "generator": self.generator,
        }
        write_json(Path(f"{path}.json"), notes)

    @classmethod
    def load(cls, path: str | Path) -> "TargetVector":
        """What `save` wrote."""
        notes = read_json(Path(f"{path}.json"))
        tensors = load_tensors(Path(f"{path}.safetensors"))
        try:
            return cls(
                tensors["direction"],
                notes["method"],
                tuple(notes["protected"]),
                notes["feature"],
                notes["generator"],
            )
        except KeyError as error:
            raise UserError(f"the target in '{path}' lacks {error}; fit it again") from error


def raw_direction(
    labels: LatentSet, *, method: Method = "mean", regularization: float = 1.0
) -> Float[Tensor, " d"]:
    """The unit vector of one method, pointing towards "yes"."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression

    labels.require_both()
    if method == "mean":
        difference = labels.positives.flatten(1).mean(0) - labels.negatives.flatten(1).mean(0)
    else:
        sure = labels.sure()
        x = sure.latents.flatten(1).double().numpy()
        y = (sure.labels == YES).numpy()
        if method == "logistic":
            model = LogisticRegression(C=1 / regularization, max_iter=1000).fit(x, y)
        else:
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x, y)
        difference = torch.from_numpy(np.asarray(model.coef_[0])).float()
    norm = difference.norm()
    if not norm > 0:
        raise UserError(
            f"pictures with and without '{labels.feature}' have the same mean latent; "
            "the labels carry no direction"
        )
    return difference / norm


def orthogonalize(
    direction: Float[Tensor, " d"], others: Mapping[str, Float[Tensor, " d"]]
) -> Float[Tensor, " d"]:
    """`direction` without its part in the span of `others`, normalised.

    Raises:
        UserError: less than a tenth of it is left.
    """
    if not others:
        return direction
    basis, _ = torch.linalg.qr(torch.stack(list(others.values()), dim=1))
    rest = direction - basis @ (basis.T @ direction)
    if rest.norm() < 0.1:
        raise UserError(
            f"nearly nothing of the direction is left once {', '.join(others)} are protected; "
            "protect fewer attributes"
        )
    return rest / rest.norm()


def binary(labels: LatentSet) -> tuple[Tensor, Tensor]:
    """Latents and 0/1 answers of the rows somebody was sure about."""
    sure = labels.where(labels.labels != 0)
    assert set(sure.labels.tolist()) <= {YES, NO}
    return sure.latents.flatten(1), (sure.labels == YES).long()
