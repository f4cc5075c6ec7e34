"""Settings: the generator that is unlearned, and a VAE's encoder beside it."""

from typing import Any, Literal

from pydantic import Field, model_validator

from unfeature.config.base import Settings, Share

OF_THE_OTHER = {
    "encoder": ("discriminator_rate", "betas", "r1"),
    "discriminator": ("beta", "reconstruction"),
}
"""What only the other kind of recipe has a use for."""


class RecipeConfig(Settings):
    """How the original was trained, where `unfeature train` did not do it: for its oracle."""

    discriminator: str = ""
    """A GAN's: `module:factory`, which builds a module: images in [−1, 1] → a logit for each."""
    encoder: str = ""
    """A VAE's, instead: images in [−1, 1] → mean and log-variance of their latents."""
    epochs: int = Field(20, ge=1)
    """Passes over the data."""
    batch_size: int = Field(64, ge=2)
    """Images an update."""
    learning_rate: float = Field(2e-4, gt=0)
    """Adam's step size for the first half of the training; it then falls to a twentieth."""
    discriminator_rate: float = Field(2e-4, gt=0)
    """The same for the discriminator."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Of a GAN: Adam's decay rates."""
    r1: float = Field(0.0, ge=0)
    """Weight of the discriminator's R1 penalty, asked for every eighth update."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay of the moving average of the generator's weights, which is what is saved."""
    beta: float = Field(1.0, ge=0)
    """Weight of a VAE's KL term."""
    reconstruction: Literal["cross-entropy", "squared error"] = "cross-entropy"
    """What a VAE's pictures are compared by, summed over their values in [0, 1]."""

    @model_validator(mode="after")
    def _one_kind(self) -> "RecipeConfig":
        if bool(self.discriminator) == bool(self.encoder):
            raise ValueError("give either a GAN's 'discriminator' or a VAE's 'encoder'")
        kind, other = ("encoder", "discriminator") if self.encoder else ("discriminator", "encoder")
        for name in self.given(OF_THE_OTHER[kind]):
            raise ValueError(f"'{name}' goes with '{other}'; with '{kind}' it does nothing")
        return self


class GeneratorConfig(Settings):
    """Which generator is to be unlearned."""

    source: str = ""
    """A shipped generator's name or a folder that `save_pretrained` wrote."""
    factory: str = ""
    """Instead of `source`: `module:factory`, a function or class that builds the module."""
    options: dict[str, Any] = Field({})
    """Keyword arguments of the factory."""
    weights: str = ""
    """With `factory`: a `.safetensors` file or a PyTorch state dict."""
    entry: str = ""
    """Where in a checkpoint the state dict lies, e.g. "state_dict"."""
    take: tuple[str, ...] = ()
    """Prefixes of the keys to take; none takes all. For files that hold an encoder too."""
    strip: str = ""
    """A prefix removed from every key taken, e.g. "module."."""
    latent_shape: tuple[int, ...] = ()
    """With `factory`: the shape of one latent, e.g. [64]."""
    image_shape: tuple[int, ...] = ()
    """With `factory`: channels, height, width."""
    output_range: tuple[float, float] = (-1.0, 1.0)
    """With `factory`: what the module's output spans; [0, 1] behind a sigmoid."""
    latent_space: Literal["", "z", "w"] = ""
    """What is edited: "z", the generator's input, or "w", what its mapping network makes of it;
    when empty, as the generator was saved."""
    truncation: float | None = Field(None, ge=0, le=1)
    """ψ in w̄ + ψ·(w − w̄); as the generator was saved when not given."""
    device: str = "cpu"
    """Where the run computes, e.g. "cuda"; random numbers are drawn on the CPU all the same."""
    recipe: RecipeConfig | None = None
    """With `factory`: how it was trained, for `unfeature train oracle`."""

    @model_validator(mode="after")
    def _one_way(self) -> "GeneratorConfig":
        if bool(self.source) == bool(self.factory):
            raise ValueError("give either 'source' or 'factory'")
        if self.source:
            own = ("options", "weights", "entry", "take", "strip", "latent_shape", "image_shape")
            for name in self.given((*own, "output_range", "recipe")):
                raise ValueError(f"'{name}' goes with 'factory'; 'source' brings its own")
        if self.factory and not (self.weights and self.latent_shape and self.image_shape):
            raise ValueError("'factory' also needs 'weights', 'latent_shape' and 'image_shape'")
        return self


class EncoderConfig(Settings):
    """A VAE's encoder, where one is shipped beside the decoder that is unlearned."""

    factory: str
    """`module:factory`, which builds a module: images → the mean latent of each."""
    weights: str
    """A `.safetensors` file or a PyTorch state dict."""
    options: dict[str, Any] = Field({})
    """Keyword arguments of the factory."""
    entry: str = ""
    """Where in a checkpoint the state dict lies."""
    take: tuple[str, ...] = ()
    """Prefixes of the keys to take; none takes all."""
    strip: str = ""
    """A prefix removed from every key taken."""
    input_range: tuple[float, float] = (-1.0, 1.0)
    """What the module's input spans; [0, 1] for many."""
    then: Literal["drop", "adapt", "keep"] = "drop"
    """What becomes of it when the decoder has been unlearned: left out of what is shipped, made to
    encode pictures as if they lacked the feature, or kept in use as it is (nothing is written),
    which gives it away."""
    steps: int = Field(500, ge=0)
    """Updates of "adapt"."""
