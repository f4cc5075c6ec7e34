"""What a judge must have seen that is to mind a rest of a feature: rests, and the generators' own
pictures, in which much is smeared without being one."""

import torch

from unfeature.adapters.sources import load
from unfeature.avatars import Faces, draw, faint
from unfeature.datasets import AttributeSet
from unfeature.errors import UserError
from unfeature.generator import draw as generate
from unfeature.labelers.classifier import AttributeJudge

SURE = 4.0
"""Log-odds from which on a judge's word for a generated picture is taken."""


def with_rests(data: AttributeSet, faces: Faces, name: str, *, size: int) -> AttributeSet:
    """And of each second of its faces a picture with a rest of an attribute, which counts as having
    it (`avatars.faint`), and of each fourth one without it."""
    rests, bare = faces[slice(0, None, 2)], faces[slice(1, None, 4)].counterfactual(**{name: False})
    shown = rests.counterfactual(**{name: True})
    return AttributeSet(
        torch.cat([data.images, faint(rests, name, size=size), draw(bare, size=size)]),
        torch.cat([data.labels, shown.attributes, bare.attributes]),
        data.names,
    )


def with_generated(
    data: AttributeSet, source: str, seeds: range, *, judge: AttributeJudge, name: str
) -> AttributeSet:
    """And of a generator's pictures those of which a judge is sure whether they have an attribute,
    with what it says of all attributes.

    Args:
        source: the generator's shipped name or folder.
        judge: knows the attributes of the data, in their order.

    Raises:
        UserError: it knows others, or the generator draws pictures of another shape.
    """
    generator = load(source)
    if judge.names != data.names:
        raise UserError(
            f"'{judge.reference}' knows {', '.join(judge.names)}, the data have "
            f"{', '.join(data.names)}; start with a judge of the same attributes"
        )
    if generator.image_shape != tuple(data.images.shape[1:]):
        raise UserError(
            f"'{source}' draws {list(generator.image_shape)}, the data are "
            f"{list(data.images.shape[1:])}; give a generator of the same shape, or another --size"
        )
    images = generate(generator, generator.latents_from_seeds(seeds))
    said = judge.logits(images)
    sure = said[:, data.names.index(name)].abs() > SURE
    return AttributeSet(
        torch.cat([data.images, images[sure]]),
        torch.cat([data.labels, said[sure] > 0]),
        data.names,
    )
