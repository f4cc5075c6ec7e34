"""From an architecture's name to a session that trains it."""

from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from unfeature import models
from unfeature.errors import UserError
from unfeature.models.dcgan import DCGANDiscriminator
from unfeature.models.feature_discriminator import FeatureDiscriminator
from unfeature.models.judge_features import JudgeFeatures, PerceptualDistance
from unfeature.models.residual_vae import (
    CalibratedLikelihood,
    ResidualDecoder,
    ResidualEncoder,
)
from unfeature.models.stylegan2 import StyleGAN2Generator
from unfeature.models.stylegan2_discriminator import StyleGAN2Discriminator
from unfeature.models.vae import ConvDecoder, ConvEncoder, negative_elbo
from unfeature.seeds import derive
from unfeature.training.gan import GANSession
from unfeature.training.loop import Session, TrainConfig
from unfeature.training.second import SecondOpinion
from unfeature.training.stylegan2 import StyleGAN2Config, StyleGAN2Session
from unfeature.training.vae import VAEConfig, VAESession

ORIGINALS = ("dcgan", "conv-vae", "residual-vae", "stylegan2")
SETTINGS: dict[str, type[BaseModel]] = {"stylegan2": StyleGAN2Config, "residual-vae": VAEConfig}
"""Those that take a judge, and what their training has settings for."""
WHOLE = ("w_dim", "mapping_layers", "max_width", "flow")
"""Sizes; `latent_dim` and `width` are looked at where they are read."""
GENERATOR_ONLY = ("latent_dim", "w_dim", "mapping_layers")


def original_session(
    architecture: str,
    image_shape: tuple[int, int, int],
    config: TrainConfig,
    *,
    judge: tuple[nn.Module, Tensor] | None = None,
    start: nn.Module | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> tuple[Session, dict[str, Any]]:
    """A session for a freshly initialised original, and the options that build its generator.

    Args:
        image_shape: of the data; square, its side a multiple of 4 (or a power of 2).
        judge: a trained judge and some of the data: for stylegan2 for a second discriminator, for
            residual-vae for a perceptual distance.
        start: a trained generator of that architecture to begin with, whose weights are copied.
        device: where it trains.
        options: of the architecture, e.g. `latent_dim`, `width`, and of its training, e.g.
            `gamma` (`StyleGAN2Config`) or `perceptual` (`VAEConfig`).

    Raises:
        UserError: an architecture we cannot train, images it cannot draw, or a `start` that does
            not fit.
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
    for key in WHOLE:
        value = options.get(key, 1)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"--option {key}={value}: give a whole number of at least 1")
    side = {"base": height // 4} if architecture in ("dcgan", "conv-vae") else {"size": height}
    options = {"channels": channels, **side, **options}
    if judge is not None and architecture not in SETTINGS:
        raise UserError(
            f"--judge helps to train {' and '.join(SETTINGS)}; '{architecture}' has no use for it"
        )
    settings = _settings(options, architecture)
    helper = {key: value for key, value in options.items() if key not in GENERATOR_ONLY}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "initial weights"))
        module = models.build(architecture, options).to(device)
        if start is not None:
            begin_with(module, start)
        if architecture == "dcgan":
            session: Session = GANSession(module, DCGANDiscriminator(**helper).to(device), config)
        elif isinstance(module, ResidualDecoder):
            assert isinstance(settings, VAEConfig)
            _require_partners(settings, judged=judge is not None)
            perceptual = judge and PerceptualDistance(JudgeFeatures(*judge).to(device))
            loss = CalibratedLikelihood(
                height, device=device, perceptual=perceptual, weight=settings.perceptual
            )
            encoder = ResidualEncoder(**{k: v for k, v in options.items() if k != "flow"})
            session = VAESession(
                encoder.to(device),
                module,
                config,
                loss=loss.of_residual,
                warm_up=0.1,
                settings=settings,
            )
        elif isinstance(module, StyleGAN2Generator):
            discriminator = StyleGAN2Discriminator(**helper).to(device)
            assert isinstance(settings, StyleGAN2Config)
            second = None
            if judge is not None:
                seen = FeatureDiscriminator(*judge).to(device)
                second = SecondOpinion(seen, settings.judge_rate)
            session = StyleGAN2Session(module, discriminator, config, settings, second=second)
        else:
            assert isinstance(module, ConvDecoder)
            session = VAESession(
                ConvEncoder(**options).to(device), module, config, loss=negative_elbo
            )
    return session, options


def begin_with(module: nn.Module, start: nn.Module) -> None:
    """Set the module's weights to those of one that is trained.

    Raises:
        UserError: they do not fit, or are those of a VAE whose prior was learnt afterwards.
    """
    if getattr(start, "transport", None) is not None:
        raise UserError(
            "--start: this VAE's prior was learnt after it, from an encoder that is not saved with "
            "it, so its training cannot be gone on with; train anew"
        )
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (module, start)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"--start: its weights do not fit a {type(module).__name__} with these options; give "
            "the architecture and options that its config.json names"
        )
    module.load_state_dict(start.state_dict())


def _require_partners(settings: VAEConfig, *, judged: bool) -> None:
    """Raise where an option is given without what it is of."""
    given = settings.model_fields_set
    if "perceptual" in given and not judged:
        raise UserError("--option perceptual weighs what a judge sees; give --judge, too")
    if "prior_epochs" in given and not settings.transport:
        raise UserError("--option prior_epochs is of the transport; give --option transport=3, too")


def _settings(options: dict[str, Any], architecture: str) -> BaseModel | None:
    """The training's own settings, taken out of the options; none for most architectures."""
    kind = SETTINGS.get(architecture)
    if kind is None:
        return None
    given = {key: options.pop(key) for key in list(options) if key in kind.model_fields}
    try:
        return kind(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(f"option {problem['loc'][0]}: {problem['msg'].lower()}") from error
