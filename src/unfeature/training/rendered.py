"""A generator's module for a training that needs a module which draws images."""

from jaxtyping import Float
from torch import Tensor, nn

from unfeature.generator import GeneratorSpec


class Rendered(nn.Module):
    """Latents of `spec.latent_shape` → images in [−1, 1] of `spec.image_shape`, by `module`, whose
    own output may span another range and have another shape."""

    def __init__(self, module: nn.Module, spec: GeneratorSpec):
        super().__init__()
        self.module, self.spec = module, spec
        self.latent_shape = spec.latent_shape

    def forward(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n c h w"]:
        return self.spec.as_images(self.module(latents))
