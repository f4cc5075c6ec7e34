"""A VAE's encoder as its settings name it: images in [−1, 1] in, latents out."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from unfeature.adapters.devices import beside
from unfeature.adapters.factory import select
from unfeature.adapters.files import load_state_dict
from unfeature.adapters.pretrained import build_module, load_weights
from unfeature.config import EncoderConfig
from unfeature.errors import UserError, first_line
from unfeature.generator import Generator


def load_encoder(config: EncoderConfig, weights: Path | None = None) -> nn.Module:
    """The module, in evaluation mode, its weights from the settings' file or from another.

    Raises:
        UserError: the factory, the file, a key or a shape does not fit.
    """
    path = weights or Path(config.weights)
    state = load_state_dict(path, entry="" if weights else config.entry, table="encoder")
    if not weights:
        state = select(state, take=config.take, strip=config.strip, path=path, table="encoder")
    module = build_module(config.factory, config.options, setting="encoder.factory")
    load_weights(module, state, path, "; encoder.take and encoder.strip choose the keys")
    return module.eval().requires_grad_(False)


def encoding(
    config: EncoderConfig, original: Generator
) -> Callable[[nn.Module], Callable[[Tensor], Tensor]]:
    """From an encoder module to its function on images in [−1, 1], checked when it is called.

    Raises:
        UserError (then): it does not take such images or gives no latents of the generator.
    """
    low, high = config.input_range

    def of(module: nn.Module) -> Callable[[Tensor], Tensor]:
        def encode(images: Tensor) -> Tensor:
            try:
                scaled = (beside(module, images) + 1) * ((high - low) / 2) + low
                latents: Tensor = module(scaled)
            except Exception as error:  # it is the user's, and may raise anything
                raise UserError(
                    f"encoder '{config.factory}' does not take images of "
                    f"{list(images.shape[1:])}: {first_line(error)}"
                ) from error
            if not isinstance(latents, Tensor):
                raise UserError(
                    f"encoder '{config.factory}' gives a {type(latents).__name__}, not a tensor of "
                    "latents; wrap it so that forward(images) gives the mean alone"
                )
            if latents.shape != (len(images), *original.latent_shape):
                raise UserError(
                    f"encoder '{config.factory}' gives {list(latents.shape[1:])} for each image; "
                    f"the generator's latents are {list(original.latent_shape)}"
                )
            return latents

        return encode

    return of
