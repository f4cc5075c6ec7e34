"""The architectures we own, by the name that stands in a `config.json`."""

from collections.abc import Callable
from typing import Any

from torch import nn

from unfeature.errors import UserError, did_you_mean
from unfeature.models.dcgan import DCGANGenerator
from unfeature.models.lenet import LeNet
from unfeature.models.linear import LinearProbe
from unfeature.models.mobilenet import MobileNetV3
from unfeature.models.residual_vae import ResidualDecoder
from unfeature.models.resnet import ResNet
from unfeature.models.stylegan2 import StyleGAN2Generator
from unfeature.models.vae import ConvDecoder

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANGenerator,
    "conv-vae": ConvDecoder,
    "residual-vae": ResidualDecoder,
    "stylegan2": StyleGAN2Generator,
    "lenet": LeNet,
    "linear": LinearProbe,
    "mobilenetv3": MobileNetV3,
    "resnet": ResNet,
}


def build(architecture: str, options: dict[str, Any]) -> nn.Module:
    """The module of that name, freshly initialised.

    Raises:
        UserError: no such architecture, or an option it does not take.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"unknown architecture '{architecture}'{did_you_mean(architecture, ARCHITECTURES)}; "
            f"known: {', '.join(ARCHITECTURES)}"
        )
    try:
        return ARCHITECTURES[architecture](**options)
    except (TypeError, RuntimeError, ValueError) as error:
        raise UserError(f"architecture '{architecture}': {error}") from error
