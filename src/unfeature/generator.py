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

from unfeature.errors import UserError, first_line
from unfeature.seeds import rng

SPACES = ("z", "w")
STYLE = ("latent_shape", "mapping", "synthesis", "truncate")
"""What a module needs for w: the shape of z, mapping(z) → w, synthesis(w) → images, and
truncate(w, ψ) → w̄ + ψ·(w − w̄)."""


@dataclass(frozen=True)
class GeneratorSpec:
    """What is known of a generator besides its weights; the content of `config.json`.

    Attributes:
        architecture: a name in `unfeature.models.ARCHITECTURES`, or `module:factory`.
        options: keyword arguments of the architecture or factory.
        latent_shape: shape of one latent, e.g. `(64,)`.
        image_shape: shape of one image, (channels, height, width).
        output_range: the values the module's own output spans, e.g. `(0.0, 1.0)` behind a sigmoid.
        latent_space: what a latent is: `"z"`, the input prior N(0, I), or `"w"`, what a mapping
            network makes of it.
        truncation: ψ in w = w̄ + ψ·(w − w̄), which trades variety for quality; 1 leaves w as it is.
        about: free notes (training recipe, figures reached), kept when saved.
    """

    architecture: str
    options: dict[str, Any]
    latent_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    output_range: tuple[float, float] = (-1.0, 1.0)
    latent_space: str = "z"
    truncation: float = 1.0
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
        if self.latent_space not in SPACES:
            raise UserError(
                f"generator.latent_space is '{self.latent_space}'; choose one of "
                f"{', '.join(SPACES)}"
            )
        if not 0 <= self.truncation <= 1:
            raise UserError(
                f"generator.truncation is {self.truncation:g}; give a number from 0 (the average "
                "picture alone) to 1 (no truncation)"
            )

    def as_images(self, output: Tensor) -> Float[Tensor, "n c h w"]:
        """What a module gave, as images in [−1, 1]; contiguous; not clamped."""
        low, high = self.output_range
        images = output.reshape(len(output), *self.image_shape).contiguous()
        if (low, high) == (-1.0, 1.0):
            return images
        return (images - low) * (2 / (high - low)) - 1


class Generator:
    """A pre-trained generator in evaluation mode, frozen unless `requires_grad` says otherwise.

    The module always runs in evaluation mode, also while it is unlearned: its batch statistics
    are part of what was learnt, and an image must not depend on its neighbours in a batch.

    Raises:
        UserError: weights that are not finite, a module whose output does not have
            `prod(image_shape)` values for each latent, or a latent space it does not have.
    """

    def __init__(self, module: nn.Module, spec: GeneratorSpec):
        self.module = module.eval().requires_grad_(False)
        self.spec = spec
        self._check_space()
        self._probe()
        self._lay_out()

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
        """Images in [−1, 1], one a latent; differentiable; contiguous; not clamped."""
        return self.spec.as_images(self._draw(latents))

    def sample_latents(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *latent"]:
        """`n` latents from the generator's own prior, on its device, drawn from `rng` (CPU)."""
        if n < 1:
            raise UserError(f"n is {n}; ask for at least one latent")
        return self._from_prior(torch.randn(n, *self._prior_shape, generator=rng))

    def latents_from_seeds(self, seeds: Sequence[int]) -> Float[Tensor, "n *latent"]:
        """One latent a seed: latent i depends on `seeds[i]` alone, not on its neighbours."""
        if not len(seeds):
            raise UserError("n is 0; ask for at least one latent")
        shape = (1, *self._prior_shape)
        drawn = [torch.randn(shape, generator=rng(int(seed), "latent")) for seed in seeds]
        return self._from_prior(torch.cat(drawn))

    def in_space(self, space: str, *, truncation: float | None = None) -> "Generator":
        """The same weights (shared, not copied) behind latents of another space.

        Args:
            space: "z", or "w" if the module has a mapping network; in w the generator is the
                synthesis network alone, so unlearning leaves the mapping as it is.
            truncation: ψ in [0, 1]; as it is now when not given.

        Raises:
            UserError: the module has no such space, or ψ is out of range.
        """
        twin = copy.copy(self)
        psi = self.spec.truncation if truncation is None else truncation
        twin.spec = replace(self.spec, latent_space=space, truncation=psi)
        twin._check_space()
        if space != self.latent_space:
            shape = tuple(self._style.latent_shape)
            if space == "w":
                z = torch.zeros(1, *shape, device=self.device)
                shape = tuple(self._style.mapping(z).shape[1:])
            twin.spec = replace(twin.spec, latent_shape=shape)
        return twin

    def per_layer(self, latents: Float[Tensor, "n w"]) -> Float[Tensor, "n layers w"]:
        """The same latents, a w for each layer, which draw the same images and may be moved apart:
        W⁺ of Abdal, Qin, Wonka, "Image2StyleGAN" (ICCV 2019, arXiv 1904.03189).

        Raises:
            UserError: latents are not of w, or the synthesis network takes one w for all layers.
        """
        layers = getattr(self._style.synthesis, "num_ws", 0) if self.latent_space == "w" else 0
        if not layers:
            raise UserError(
                f"generator '{self.spec.architecture}' in {self.latent_space} has no w for each "
                "layer; leave out erase.layers, or take a StyleGAN2 with latent_space 'w'"
            )
        return latents[:, None].expand(-1, layers, -1)

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
    def load(cls, folder: str | Path, *, factory: str = "") -> "Generator":
        """What `save_pretrained` wrote, on the CPU.

        Args:
            factory: the `module:factory` that builds it, for an architecture that is not ours.
        """
        from unfeature.adapters.pretrained import load_generator

        return load_generator(Path(folder), factory=factory)

    @property
    def _style(self) -> Any:
        """The module, once `_check_space` knows that it has what `STYLE` names."""
        return self.module

    @property
    def _prior_shape(self) -> tuple[int, ...]:
        """The shape of one z."""
        return self.latent_shape if self.latent_space == "z" else self._style.latent_shape

    @torch.no_grad()
    def _from_prior(self, z: Float[Tensor, "n *z"]) -> Float[Tensor, "n *latent"]:
        z = z.to(self.device)
        if self.latent_space == "z":
            return z
        w = torch.cat([self._style.mapping(part) for part in z.split(1024)])
        return self._style.truncate(w, self.spec.truncation)

    def _draw(self, latents: Tensor) -> Any:
        """What the module gives: images, once `_probe` has seen that."""
        if self.latent_space == "w":
            return self._style.synthesis(latents)
        if self.spec.truncation == 1:
            return self.module(latents)
        w = self._style.truncate(self._style.mapping(latents), self.spec.truncation)
        return self._style.synthesis(w)

    def _check_space(self) -> None:
        if self.latent_space == "z" and self.spec.truncation == 1:
            return
        if all(hasattr(self.module, name) for name in STYLE):
            return
        wanted = "latent_space 'w'" if self.latent_space == "w" else "truncation"
        raise UserError(
            f"generator '{self.spec.architecture}' has only z; {wanted} needs a mapping network"
        )

    @torch.no_grad()  # inference mode would keep the new weights from being trained
    def _lay_out(self) -> None:
        """Lay the weights of convolutions out channels last, in which they are faster on a
        CPU, unless the module cannot work so (it may `view` what a convolution gives)."""
        latents = torch.zeros(2, *self.latent_shape, device=self.device)
        _to_format(self.module, torch.channels_last)
        try:
            self._draw(latents)
        except Exception:  # it is the user's, and may raise anything
            _to_format(self.module, torch.contiguous_format)

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
            output = self._draw(latents)
        except Exception as error:  # it is the user's, and may raise anything
            raise UserError(
                f"generator '{self.spec.architecture}' does not take latents of shape "
                f"{list(self.latent_shape)} (generator.latent_shape): {first_line(error)}"
            ) from error
        if not isinstance(output, Tensor):
            raise UserError(
                f"generator '{self.spec.architecture}' gives a {type(output).__name__}, not a "
                "tensor of images; wrap it so that forward(latents) gives the images alone"
            )
        given = [size for size in output.shape[1:] if size != 1]
        fits = given in ([n for n in self.image_shape if n != 1], [wanted])
        if output.ndim < 2 or len(output) != 2 or not fits:
            raise UserError(
                f"generator '{self.spec.architecture}' gives {list(output.shape[1:])} for each "
                f"latent, which is not generator.image_shape {list(self.image_shape)}"
            )


def _to_format(module: nn.Module, layout: torch.memory_format) -> None:
    module.to(memory_format=layout)  # type: ignore[call-overload]


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
    """The images of many latents as they are seen: without gradients, clamped to [−1, 1]."""
    return torch.cat([generator(part).clamp(-1, 1) for part in latents.split(batch_size)])
