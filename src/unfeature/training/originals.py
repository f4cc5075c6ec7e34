"""From an architecture's name to a session that trains it."""

from typing import Any

import torch
from torch import nn

from unfeature import models
from unfeature.errors import UserError
from unfeature.models.dcgan import DCGANDiscriminator
from unfeature.models.vae import ConvDecoder, ConvEncoder
from unfeature.seeds import derive
from unfeature.training.gan import GANSession
from unfeature.training.loop import Session, TrainConfig
from unfeature.training.vae import VAESession

ORIGINALS = ("dcgan", "conv-vae")


def original_session(
    architecture: str, image_shape: tuple[int, int, int], config: TrainConfig, **options: Any
) -> tuple[Session, dict[str, Any]]:
    """A session for a freshly initialised original, and the options that build its generator.

    Args:
        image_shape: of the data; square, its side a multiple of 4.
        options: of the architecture, e.g. `latent_dim`, `width`.

    Raises:
        UserError: an architecture we cannot train, or images it cannot draw.
    """
    channels, height, width = image_shape
    if architecture not in ORIGINALS:
        raise UserError(
            f"cannot train architecture '{architecture}'; choose one of {', '.join(ORIGINALS)}"
        )
    if height != width or height % 4:
        raise UserError(
            f"images of {height}×{width} do not fit '{architecture}'; it draws square images "
            "whose side is a multiple of 4 (give --size)"
        )
    options = {"channels": channels, "base": height // 4, **options}
    helper = {key: value for key, value in options.items() if key != "latent_dim"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "initial weights"))
        module = models.build(architecture, options)
        if architecture == "dcgan":
            session: Session = GANSession(module, DCGANDiscriminator(**helper), config)
        else:
            session = VAESession(ConvEncoder(**options), _decoder(module), config)
    return session, options


def _decoder(module: nn.Module) -> ConvDecoder:
    assert isinstance(module, ConvDecoder)
    return module
