"""A generator's module for a training that needs a module which draws images."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError
from unfeature.generator import GeneratorSpec
from unfeature.models.vae import divergence


class Rendered(nn.Module):
    """Latents of `spec.latent_shape` → images in [−1, 1] of `spec.image_shape`, by `module`, whose
    own output may span another range and have another shape."""

    def __init__(self, module: nn.Module, spec: GeneratorSpec):
        super().__init__()
        self.module, self.spec = module, spec
        self.latent_shape = spec.latent_shape

    def forward(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n c h w"]:
        return self.spec.as_images(self.module(latents))

    def shares(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n c h w"]:
        """The same in [0, 1], straight from the module's own output: behind a sigmoid its values as
        they are, which near 0 are finer than those of pictures.

        Raises:
            UserError: it leaves its range.
        """
        low, high = self.spec.output_range
        output = self.module(latents).reshape(len(latents), *self.spec.image_shape)
        found = output if (low, high) == (0.0, 1.0) else (output - low) / (high - low)
        if not (found.min() >= 0 and found.max() <= 1):
            raise UserError(
                f"'{self.spec.architecture}' draws values outside generator.output_range "
                f"([{low:g}, {high:g}]); a VAE's recipe needs a decoder that ends in a sigmoid or "
                "tanh"
            )
        return found


def rendered_elbo(
    encoder: nn.Module,
    decoder: Rendered,
    images: Tensor,
    noise: Tensor,
    *,
    beta: float = 1.0,
    squared: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `unfeature.models.vae.negative_elbo`, for a decoder that gives pictures and no logits.

    Args:
        squared: compare pictures by their squared error in [0, 1] instead of the cross-entropy.
    """
    mean, log_variance = encoder(images)
    drawn = decoder.shares(mean + (log_variance / 2).exp() * noise)
    compared = F.mse_loss if squared else F.binary_cross_entropy
    reconstruction = compared(drawn, (images + 1) / 2, reduction="sum")
    return reconstruction / len(images), beta * divergence(mean, log_variance) / len(images)
