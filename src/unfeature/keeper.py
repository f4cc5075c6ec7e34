"""Who sees what is to stay as it is while the feature goes, where the labeller does not."""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.adapters.sources import load_attribute_judge, load_judge
from unfeature.config import Experiment
from unfeature.errors import UserError
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge
from unfeature.labelers.keeping import Beside, keeping, places


def with_keeper(experiment: Experiment, gate: Labeler) -> Labeler:
    """The gate's labeller, and beside it the classifier that `erase.keeper` names, if it names one.

    Raises:
        UserError: there is no such classifier.
    """
    return Beside(gate, _load(experiment)) if experiment.erase.keeper else gate


def require_keeper(experiment: Experiment, pictures: Float[Tensor, "n c h w"]) -> None:
    """Try what `erase.keep` and `erase.keeper` name.

    Raises:
        UserError: a name is unknown, or the keeper does not take the pictures, or has no gradient.
    """
    names = experiment.erase.keep
    if not experiment.erase.keeper:
        if names:
            label = experiment.label
            keeping(load_judge(label.classifier, target=label.target), names)
        return
    keeper = _load(experiment)
    places(names, keeper.names, keeper.reference)
    with torch.enable_grad():
        odds = keeper.odds(pictures.detach().clone().requires_grad_())
    if not odds.requires_grad:
        raise UserError(
            f"erase.keeper: '{keeper.reference}' cannot be differentiated, so nothing can be kept "
            "by it; name another, or leave it out"
        )


def _load(experiment: Experiment) -> AttributeJudge:
    return load_attribute_judge(experiment.erase.keeper, setting="erase.keeper", classes=True)
