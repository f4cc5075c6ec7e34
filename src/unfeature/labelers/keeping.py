"""What is to stay as it is while the feature goes: other attributes of the labeller's own, or what
another classifier sees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from unfeature.errors import UserError, did_you_mean
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge, ClassifierLabeler


@dataclass(frozen=True)
class Beside:
    """A labeller, and beside it a judge of other attributes, or of classes, that are to be kept.

    Attributes:
        labeler: sees the feature.
        keeper: can be differentiated.
        keep: indices of the keeper's attributes to look at.
    """

    labeler: Labeler
    keeper: AttributeJudge
    keep: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.labeler.name

    def score(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.labeler.score(images)

    def look(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
        """The scores, and the keeper's log-odds of what is to be kept."""
        return self.labeler.score(images), self.keeper.odds(images)[:, list(self.keep)]


def keeping(labeler: Labeler, names: tuple[str, ...]) -> Labeler:
    """The same labeller, which also looks at these attributes; where another judge is beside it, at
    that one's, or with no names at all of them.

    Raises:
        UserError: it does not know one, or one is the feature itself.
    """
    if isinstance(labeler, Beside):
        keeper = labeler.keeper
        return replace(labeler, keep=places(names or keeper.names, keeper.names, keeper.reference))
    if not names:
        return labeler
    known = labeler.names if isinstance(labeler, ClassifierLabeler) else ()
    found = places(names, known, labeler.name)
    assert isinstance(labeler, ClassifierLabeler)
    if labeler.target_name in names:
        raise UserError(f"erase.keep names '{labeler.target_name}', which is the feature itself")
    return replace(labeler, keep=found)


def places(names: Sequence[str], known: Sequence[str], who: str) -> tuple[int, ...]:
    """Where the names stand among those that are known.

    Raises:
        UserError: one is unknown to `who`.
    """
    for name in names:
        if name not in known:
            raise UserError(
                f"erase.keep: '{who}' knows no attribute '{name}'"
                f"{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"
            )
    return tuple(known.index(name) for name in names)
