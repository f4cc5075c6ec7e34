"""The one interface through which every generator is used: latents in, images in [−1, 1] out."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError
from unfeature.seeds import rng


@dataclass(frozen=True)
class GeneratorSpec:
    """What is known of a generator besides its weights; the content of `config.json`.

    Attributes:
        architecture: a name in `unfeature.models.ARCHITECTURES`, or `module:factory`.
        options: keyword arguments of the architecture or factory.
        latent_shape: shape of one latent, e.g. `(64,)`.
        image_shape: shape of one image, (channels, height, width).
        output_range: the values the module's own output spans, e.g. `(0.0, 1.0)` behind a sigmoid.
        latent_space: what a latent is: `"z"`, the input prior N(0, I).
        about: free notes (training recipe, figures reached), kept when saved.
    """

    architecture: str
    options: dict[str, Any]
    latent_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    output_range: tuple[float, float] = (-1.0, 1.0)
    latent_space: str = "z"
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.output_range
        if not low < high:
            raise UserError(
                f"generator.output_range is [{low}, {high}]; give [lowest, highest], "
                "e.g. [0, 1] behind a sigmoid or [-1, 1] behind a tanh"
            )
        if not self.latent_shape or min(self.latent_shape) < 1:
            raise UserError(
                f"generator.latent_shape is {list(self.latent_shape)}; give the shape of one "
                "latent, e.g. [64]"
            )
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise UserError(
                f"generator.image_shape is {list(self.image_shape)}; give [channels, height, "
                "width], e.g. [1, 28, 28]"
            )


class Generator:
    """A pre-trained generator in evaluation mode, frozen unless `requires_grad` says otherwise.

    The module always runs in evaluation mode, also while it is unlearned: its batch statistics
    are part of what was learnt, and an image must not depend on its neighbours in a batch.

    Raises:
        UserError: weights that are not finite, or a module whose output does not have
            `prod(image_shape)` values for each latent.
    """

    def __init__(self, module: nn.Module, spec: GeneratorSpec):
        self.module = module.eval().requires_grad_(False)
        self.spec = spec
        self._probe()

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.spec.latent_shape

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.spec.image_shape

    @property
    def latent_space(self) -> str:
        return self.spec.latent_space

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def __call__(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n c h w"]:
        """Images in [−1, 1], one a latent; differentiable; not clamped."""
        low, high = self.spec.output_range
        images = self.module(latents).reshape(len(latents), *self.image_shape)
        if (low, high) == (-1.0, 1.0):
            return images
        return (images - low) * (2 / (high - low)) - 1

    def sample_latents(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *latent"]:
        """`n` latents from the generator's own prior, on its device, drawn from `rng` (CPU)."""
        if n < 1:
            raise UserError(f"n is {n}; ask for at least one latent")
        return torch.randn(n, *self.latent_shape, generator=rng).to(self.device)

    def latents_from_seeds(self, seeds: Sequence[int]) -> Float[Tensor, "n *latent"]:
        """One latent a seed: latent i depends on `seeds[i]` alone, not on its neighbours."""
        if not len(seeds):
            raise UserError("n is 0; ask for at least one latent")
        return torch.cat([self.sample_latents(1, rng(int(seed), "latent")) for seed in seeds])

    def copy(self) -> "Generator":
        """An independent generator with equal weights."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        return twin

    def to(self, device: torch.device | str) -> "Generator":
        """The same generator, its weights moved to `device`."""
        self.module.to(device)
        return self

    def requires_grad(self, wanted: bool) -> "Generator":
        """The same generator, its weights trainable or frozen."""
        self.module.requires_grad_(wanted)
        return self

    def with_about(self, **notes: Any) -> "Generator":
        """The same weights with notes added to the spec."""
        twin = copy.copy(self)
        twin.spec = replace(self.spec, about={**self.spec.about, **notes})
        return twin

    @property
    def fingerprint(self) -> str:
        """16 hex digits of a SHA-256 over every weight's name, shape, type and bytes."""
        return fingerprint(self.module)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into `folder`."""
        from unfeature.adapters.pretrained import save_generator

        save_generator(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "Generator":
        """What `save_pretrained` wrote, on the CPU."""
        from unfeature.adapters.pretrained import load_generator

        return load_generator(Path(folder))

    @torch.inference_mode()
    def _probe(self) -> None:
        for name, tensor in self.module.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise UserError(
                    f"weight '{name}' of generator '{self.spec.architecture}' holds NaN or "
                    "infinity; use weights from before the training diverged"
                )
        wanted = self.image_shape[0] * self.image_shape[1] * self.image_shape[2]
        latents = torch.zeros(2, *self.latent_shape, device=self.device)
        try:
            output = self.module(latents)
        except RuntimeError as error:
            raise UserError(
                f"generator '{self.spec.architecture}' does not take latents of shape "
                f"{list(self.latent_shape)} (generator.latent_shape): {str(error).splitlines()[0]}"
            ) from error
        if output.numel() != 2 * wanted:
            raise UserError(
                f"generator '{self.spec.architecture}' gives {list(output.shape[1:])} for each "
                f"latent, which is not generator.image_shape {list(self.image_shape)}"
            )


def fingerprint(module: nn.Module) -> str:
    """16 hex digits of a SHA-256 over every weight's name, shape, type and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def draw(
    generator: Generator, latents: Float[Tensor, "n *latent"], *, batch_size: int = 256
) -> Float[Tensor, "n c h w"]:
    """The images of many latents, drawn batch by batch without gradients."""
    return torch.cat([generator(part) for part in latents.split(batch_size)])
