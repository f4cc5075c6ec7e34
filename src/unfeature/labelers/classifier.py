"""A classifier as the labeller: any module that gives logits, or probabilities made logits."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unfeature.adapters.devices import beside
from unfeature.config import LossName
from unfeature.errors import UserError, first_line
from unfeature.labelers.base import Labeler


@dataclass(frozen=True)
class ClassifierLabeler:
    """score = (log-odds of the class − threshold) / temperature.

    With several logits the log-odds of class k are log p_k − log(1 − p_k) under a softmax over
    them; with one logit it is that logit, and with the logits of `independent` attributes it is the
    attribute's own.

    Attributes:
        module: images in [−1, 1] → (n,) or (n, 1) logits, or (n, k) logits.
        reference: where the module comes from, for provenance.
        target: the class's or attribute's index; ignored with one logit.
        threshold: log-odds above which the picture shows the feature.
        temperature: what counts as one unit of score.
        independent: whether the logits are of attributes, which do not exclude each other.
        names: of the attributes.
        keep: indices of other attributes to look at in the same pass (`look`).
        image_shape: (c, h, w) it was trained on, where that is known; it takes no other.
    """

    module: Callable[[Tensor], Tensor]
    reference: str
    target: int = 0
    threshold: float = 0.0
    temperature: float = 1.0
    target_name: str = field(default="")
    independent: bool = False
    names: tuple[str, ...] = ()
    keep: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.module, nn.Module):
            self.module.eval()

    @property
    def name(self) -> str:
        kind = "attribute" if self.independent else "class"
        return f"classifier {self.reference} {kind} {self.target_name or self.target}"

    def score(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.look(images)[0]

    def look(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
        """The scores, and the log-odds of the attributes in `keep`, from one pass."""
        logits = answers(self.module, images, self.reference, self.image_shape)
        others = logits[:, list(self.keep)] if self.keep else logits.new_empty(len(images), 0)
        return self.scored(logits), others

    def scored(self, logits: Float[Tensor, "n *k"]) -> Float[Tensor, " n"]:
        """The module's logits → scores."""
        if logits.ndim == 2 and logits.shape[1] > 1:
            if not 0 <= self.target < logits.shape[1]:
                one, many = (
                    ("attribute", "attributes") if self.independent else ("class", "classes")
                )
                raise UserError(
                    f"classifier '{self.reference}' has {logits.shape[1]} {many}; "
                    f"there is no {one} {self.target}"
                )
            k = self.target
            odds = logits[:, k] if self.independent else _odds(logits, k)
        else:
            odds = logits.reshape(len(logits))
        return (odds - self.threshold) / self.temperature


@dataclass(frozen=True)
class ClassifierObjective:
    """Images → a classifier's scores, and what an attack maximises in their place, from one pass.

    Attributes:
        loss: `attack.loss`.
    """

    labeler: ClassifierLabeler
    loss: LossName

    def __call__(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        of = self.labeler
        logits = answers(of.module, images, of.reference, of.image_shape)
        scores = of.scored(logits)
        if self.loss == "log-odds" or of.independent or logits.ndim < 2 or logits.shape[1] < 2:
            return scores, scores
        own = logits[:, of.target]
        if self.loss == "logit":
            return scores, own
        return scores, own - _others(logits, of.target).amax(1)


def same_classifier(a: Labeler, b: Labeler) -> bool:
    """Whether both look at the same output of equal networks, whatever they are called."""
    if not (isinstance(a, ClassifierLabeler) and isinstance(b, ClassifierLabeler)):
        return False
    if a.target != b.target:
        return False
    return same_network(a.module, b.module)


def same_network(a: Callable[[Tensor], Tensor], b: Callable[[Tensor], Tensor]) -> bool:
    """Whether their weights are equal; of those without any, whether they look the same."""
    if not (isinstance(a, nn.Module) and isinstance(b, nn.Module)):
        return a is b
    one, other = a.state_dict(), b.state_dict()
    if not one:
        return type(a) is type(b) and repr(a) == repr(b)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@dataclass(frozen=True)
class AttributeJudge:
    """All attributes of a judge at once, for telling what else changed.

    Attributes:
        module: images in [−1, 1] → (n, k) logits.
        reference: where the module comes from.
        names: of the k attributes.
        image_shape: (c, h, w) it was trained on, where that is known; it takes no other.
        exclusive: whether they are classes, of which a picture shows one.
    """

    module: nn.Module
    reference: str
    names: tuple[str, ...]
    image_shape: tuple[int, ...] = ()
    exclusive: bool = False

    def __post_init__(self) -> None:
        self.module.eval()

    def odds(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The log-odds of every attribute, at even odds before the picture is seen; of a class
        those against all others."""
        found = answers(self.module, images, self.reference, self.image_shape)
        if found.ndim != 2 or found.shape[1] != len(self.names):
            kind = "classes" if self.exclusive else "attributes"
            raise UserError(
                f"classifier '{self.reference}' gives {list(found.shape[1:])} for an image and "
                f"names {len(self.names)} {kind}; it must give a logit for each"
            )
        if not self.exclusive:
            return found
        return torch.stack([_odds(found, k) for k in range(len(self.names))], dim=1)

    @torch.inference_mode()
    def logits(
        self, images: Float[Tensor, "n c h w"], *, batch_size: int = 256
    ) -> Float[Tensor, "n k"]:
        """The same without a gradient, so many images at a time."""
        return torch.cat([self.odds(part) for part in images.split(batch_size)])

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Bool[Tensor, "n k"]:
        """Which attributes each picture shows; of classes the likeliest alone."""
        logits = self.logits(images)
        if self.exclusive:
            return F.one_hot(logits.argmax(1), len(self.names)).bool()
        return logits > 0


def answers(
    module: Callable[[Tensor], Tensor],
    images: Tensor,
    reference: str,
    image_shape: tuple[int, ...] = (),
) -> Tensor:
    """What a classifier says of the images, clamped to [−1, 1], as they are shown.

    Args:
        image_shape: what it was trained on; () where that is not known.

    Raises:
        UserError: it takes no images of this shape.
    """
    if image_shape and tuple(images.shape[1:]) != image_shape:
        raise UserError(
            f"classifier '{reference}' does not take images of {list(images.shape[1:])}: it was "
            f"trained on {list(image_shape)}; name one that was trained on pictures like these"
        )
    try:
        said = module(beside(module, images.clamp(-1, 1)))
    except Exception as error:  # it is the user's, and may raise anything
        raise UserError(
            f"classifier '{reference}' does not take images of "
            f"{list(images.shape[1:])}: {first_line(error)}"
        ) from error
    if not isinstance(said, Tensor):
        raise UserError(
            f"classifier '{reference}' gives a {type(said).__name__}, not a tensor of logits; wrap "
            "it so that forward(images) gives these alone"
        )
    if said.ndim > 2 and said.shape[2:].numel() == 1:  # of a convolution
        said = said.flatten(1)
    if said.ndim not in (1, 2) or len(said) != len(images):
        raise UserError(
            f"classifier '{reference}' gives {list(said.shape)} for {len(images)} images; it must "
            "give a logit, or one for each class or attribute, an image"
        )
    return said.to(images.device)


def _odds(logits: Float[Tensor, "n k"], k: int) -> Float[Tensor, " n"]:
    log_p = logits.log_softmax(1)
    return log_p[:, k] - _others(log_p, k).logsumexp(1)


def _others(values: Float[Tensor, "n k"], k: int) -> Float[Tensor, "n others"]:
    """All columns but one."""
    return torch.cat([values[:, :k], values[:, k + 1 :]], dim=1)
