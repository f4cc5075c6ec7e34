"""Who sees what is to stay as it is while the feature goes, where the labeller does not."""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.adapters.sources import load_attribute_judge, load_judge
from unfeature.config import Experiment
from unfeature.errors import UserError
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import AttributeJudge, same_network
from unfeature.labelers.keeping import Beside, keeping, kept_by


def with_keeper(experiment: Experiment, gate: Labeler) -> Labeler:
    """The gate's labeller, and beside it the classifier that `erase.keeper` names, if it names one.

    Raises:
        UserError: there is no such classifier.
    """
    return Beside(gate, _load(experiment)) if experiment.erase.keeper else gate


def require_keeper(
    experiment: Experiment,
    pictures: Float[Tensor, "n c h w"],
    examiner: AttributeJudge | None = None,
) -> None:
    """Try what `erase.keep` and `erase.keeper` name.

    Args:
        examiner: who will judge what else changed.

    Raises:
        UserError: a name is unknown, or the feature's own; the keeper does not take the pictures,
            has no gradient where one is needed, or is the examiner.
    """
    names, label = experiment.erase.keep, experiment.label
    if not experiment.erase.keeper:
        if names:
            keeping(load_judge(label.classifier, target=label.target), names)
        return
    keeper = _load(experiment)
    kept_by(keeper, names, label.target)
    if examiner is not None and same_network(keeper.module, examiner.module):
        raise UserError(
            f"erase.keeper: '{keeper.reference}' also judges what else changed; name another, or "
            "another under evaluate.attributes"
        )
    with torch.enable_grad():
        odds = keeper.odds(pictures.detach().clone().requires_grad_())
    if experiment.needs_slope and not odds.requires_grad:
        raise UserError(
            f"erase.keeper: '{keeper.reference}' cannot be differentiated, which "
            f"{experiment.needs_slope} needs; name another, or leave it out"
        )


def _load(experiment: Experiment) -> AttributeJudge:
    return load_attribute_judge(experiment.erase.keeper, setting="erase.keeper", classes=True)
