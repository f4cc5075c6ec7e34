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
    that one's.

    Raises:
        UserError: as `places` does.
    """
    if isinstance(labeler, Beside):
        feature = getattr(labeler.labeler, "target_name", "")
        return replace(labeler, keep=kept_by(labeler.keeper, names, feature))
    if not names:
        return labeler
    known = labeler.names if isinstance(labeler, ClassifierLabeler) else ()
    feature = getattr(labeler, "target_name", "")
    found = places(names, known, f"'{labeler.name}' knows no attribute", feature)
    assert isinstance(labeler, ClassifierLabeler)
    return replace(labeler, keep=found)


def kept_by(keeper: AttributeJudge, names: tuple[str, ...], feature: str) -> tuple[int, ...]:
    """Indices of what a keeper keeps: its attributes of these names; of a judge of classes all,
    where none is named.

    Raises:
        UserError: as `places` does, or no attribute is named.
    """
    kind = "class" if keeper.exclusive else "attribute"
    if not names and not keeper.exclusive:
        raise UserError(
            f"erase.keeper: '{keeper.reference}' sees {', '.join(keeper.names)}; name under "
            "erase.keep which of them are to stay, without the feature"
        )
    refusal = f"'{keeper.reference}' knows no {kind}"
    return places(names or keeper.names, keeper.names, refusal, feature)


def places(
    names: Sequence[str], known: Sequence[str], refusal: str, feature: str
) -> tuple[int, ...]:
    """Where the names stand among those that are known.

    Raises:
        UserError: one is not among them, or is the feature itself.
    """
    for name in names:
        if name not in known:
            raise UserError(
                f"erase.keep: {refusal} '{name}'{did_you_mean(name, known)}; known: "
                f"{', '.join(known) or 'none'}"
            )
    if feature and feature in names:
        raise UserError(
            f"erase.keep: '{feature}' would be kept, which is the feature itself; name the others"
        )
    return tuple(known.index(name) for name in names)
