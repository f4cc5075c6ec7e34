"""A StyleGAN2 generator from a narrower one, drawing the same pictures: Chen, Goodfellow, Shlens,
"Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016, arXiv 1511.05641).

New channels start with random incoming weights and outgoing weights of zero, so nothing hears them
yet, and what they should say can be learnt at once.
"""

import torch

from unfeature.errors import UserError
from unfeature.models.stylegan2 import ModulatedConv, StyleGAN2Generator


@torch.no_grad()
def grow(large: StyleGAN2Generator, small: StyleGAN2Generator) -> None:
    """Set `large`'s weights so that it draws what `small` draws; new channels keep their random
    incoming weights.

    Raises:
        UserError: `large` is narrower somewhere, or differs in more than its synthesis' channels.
    """
    theirs, ours = small.state_dict(), large.state_dict()
    for name in sorted(theirs.keys() ^ ours.keys()):
        raise UserError(f"cannot grow one StyleGAN2 into the other: only one has '{name}'")
    for name, value in theirs.items():
        fits = name.startswith("synthesis") and all(
            a <= b for a, b in zip(value.shape, ours[name].shape, strict=True)
        )
        if value.shape != ours[name].shape and not fits:
            raise UserError(
                f"cannot grow one StyleGAN2 into the other: '{name}' is "
                f"{tuple(value.shape)} in the first and {tuple(ours[name].shape)} in the second"
            )
    convs = [
        (conv, small.get_submodule(name))
        for name, conv in large.named_modules()
        if isinstance(conv, ModulatedConv)
    ]
    for conv, old in convs:
        assert isinstance(old, ModulatedConv)
        conv.weight[: len(old.weight)] = 0.0  # what was there before hears nothing new
    for name, value in theirs.items():
        ours[name][tuple(slice(n) for n in value.shape)] = value
    for conv, old in convs:
        if not conv.demodulate:  # nothing divides its fixed scale 1/√inputs out again
            conv.weight.mul_(old.scale / conv.scale)  # type: ignore[operator]
