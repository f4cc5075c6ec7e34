"""Settings: frozen, typed, checked when made. A TOML file's tables are these classes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unfeature.errors import did_you_mean

By = Literal["function", "classifier", "sheet"]
Norm = Literal["l2", "linf"]
LossName = Literal["logit", "margin", "cross-entropy"]


class Settings(BaseModel):
    """What all tables share: no unknown keys, no change after checking."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


class GeneratorConfig(Settings):
    """Which generator is to be unlearned."""

    source: str = ""
    """A shipped generator's name or a folder that `save_pretrained` wrote."""
    factory: str = ""
    """Instead of `source`: `module:factory`, a function or class that builds the module."""
    options: dict[str, Any] = {}
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

    @model_validator(mode="after")
    def _one_way(self) -> "GeneratorConfig":
        if bool(self.source) == bool(self.factory):
            raise ValueError("give either 'source' or 'factory'")
        if self.factory and not (self.weights and self.latent_shape and self.image_shape):
            raise ValueError("'factory' also needs 'weights', 'latent_shape' and 'image_shape'")
        return self


class EncoderConfig(Settings):
    """A VAE's encoder, where one is shipped beside the decoder that is unlearned."""

    factory: str
    """`module:factory`, which builds a module: images → the mean latent of each."""
    weights: str
    """A `.safetensors` file or a PyTorch state dict."""
    options: dict[str, Any] = {}
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
    encode pictures as if they lacked the feature, or kept as it is, which gives it away."""
    steps: int = Field(500, ge=0)
    """Updates of "adapt"."""


class LabelerConfig(Settings):
    """Who says whether a picture shows a feature."""

    by: By = "function"
    """"function" (a Python function on images), "classifier" (a judge), or "sheet" (a person)."""
    function: str = ""
    """For "function": `module:name`, images in [−1, 1] → one number each."""
    threshold: float | None = None
    """The function's value (or a classifier's log-odds, 0 when not given) where the feature
    begins."""
    share: float | None = Field(None, gt=0, lt=1)
    """For "function", instead of `threshold`: the share of the original's pictures that have it."""
    side: Literal["above", "below"] = "above"
    """For "function": on which side of the threshold the feature lies."""
    classifier: str = ""
    """For "classifier": a shipped judge's name, a folder, or `module:factory`."""
    target: str = ""
    """For "classifier": the class, by name or index."""

    @model_validator(mode="after")
    def _complete(self) -> "LabelerConfig":
        if self.by == "function":
            if not self.function:
                raise ValueError("by = 'function' needs 'function', e.g. 'my_module:my_function'")
            if (self.threshold is None) == (self.share is None):
                raise ValueError("by = 'function' needs exactly one of 'threshold' and 'share'")
        if self.by == "classifier" and not self.classifier:
            raise ValueError("by = 'classifier' needs 'classifier', e.g. 'digits-judge'")
        return self


class LabelConfig(LabelerConfig):
    """How the original's pictures are labelled."""

    n: int = Field(2000, ge=1)
    """Pictures to label."""
    unsure: float = Field(0.0, ge=0)
    """Scores nearer to zero than this count as unsure, in the labeller's unit."""
    answers: str = ""
    """For "sheet": the text file with the numbers of the pictures that show the feature."""


class TargetConfig(Settings):
    """How the target direction is found."""

    method: Literal["mean", "logistic", "lda"] = "mean"
    """Difference of means (the paper), logistic regression, or shrunk LDA."""
    regularization: float = Field(100.0, gt=0)
    """Strength of the logistic regression's L2 penalty."""
    protect: tuple[str, ...] = ()
    """Attributes (names under [attributes]) the direction is made orthogonal to."""


class EraseConfig(Settings):
    """Which latents are edited, and how far."""

    gate: Literal["image", "paper", "midpoint", "calibrated"] = "image"
    """"image" asks the labeller about f(z); the others compare z·z_e with a threshold."""
    recall: float = Field(0.95, gt=0, le=1)
    """For "calibrated", and for "image" when a person labelled: the share of held-out pictures with
    the feature that the gate must find."""
    path: Literal["line", "descent", "donors"] = "line"
    """For "image": the way from z to ẑ, along −z_e; towards similar pictures that lack the feature;
    or down the labeller's score, which is shorter but needs a labeller that can be differentiated
    (and one that is not easily fooled)."""
    donors: int = Field(3000, ge=1)
    """For "donors": pictures drawn, among which those without the feature are looked up."""
    descents: int = Field(12, ge=1)
    """For "descent": its steps at most; pictures that have not arrived by then keep some of the
    feature."""
    refine: int = Field(0, ge=0)
    """For "descent" and "donors", in the first round: steps from ẑ towards the original's own
    picture, so that less of it changes; each costs as much as a step of the descent, and needs a
    labeller that can be differentiated."""
    layers: bool = False
    """For `refine` and `approaches` in w of a StyleGAN2: move every layer's w by itself; take more
    steps then, e.g. `refine` = 60."""
    keep: tuple[str, ...] = ()
    """For "descent" and "donors", when a classifier of attributes labels: which of its other
    attributes should stay as they are in ẑ's picture."""
    approaches: int = Field(12, ge=0)
    """For "descent" and "donors", in later rounds: steps from ẑ towards what g already draws."""
    margin: float = Field(0.5, ge=0)
    """For "image": how far below zero the labeller's score must fall, in its unit."""
    reach: float = Field(6.0, gt=0)
    """For "image": the longest shift tried, in latent units."""
    coarse: int = Field(8, ge=1, le=64)
    """For "image": steps of the first search."""
    fine: int = Field(2, ge=0, le=16)
    """For "image": bisections after it."""


class UnlearnConfig(Settings):
    """The fine-tuning. Symbols as in the paper."""

    steps: int = Field(2000, ge=0)
    """Updates a round; 0 leaves the weights as they are."""
    batch_size: int = Field(128, ge=1)
    """Latents an update."""
    alpha: float = Field(1.0, ge=0)
    """α, the weight of unlearning against reconstruction."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Adam's step size after warm-up."""
    final_rate: float = Field(0.02, ge=0, le=1)
    """Share of `learning_rate` that is left at the end of the cosine."""
    warmup: int = Field(20, ge=0)
    """Updates over which the step size grows from zero."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decay rates."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the weights' moving average, which is what is evaluated and saved."""
    pool: int = Field(16, ge=1, le=1024)
    """Chunks of `batch_size` lessons kept; with `reuse` = 1 and `pool` = 1 each is used once."""
    reuse: int = Field(8, ge=1)
    """Updates for each fresh chunk of lessons."""
    check_every: int = Field(100, ge=1)
    """Updates between two looks at held-out latents."""
    check_n: int = Field(1000, ge=1)
    """Held-out latents a look."""
    patience: int = Field(5, ge=1)
    """Looks without betterment after which a round ends early."""
    ratio_tolerance: float = Field(0.001, ge=0)
    """A drop of the target ratio that is no betterment."""
    recon_tolerance: float = Field(0.02, ge=0)
    """A relative drop of the reconstruction error that is no betterment."""
    rounds: int = Field(1, ge=1)
    """How often to sample from g, label, refit and go on (see `unfeature.rounds`)."""
    robust: float = Field(0.0, ge=0, le=1)
    """Share of every batch that is an attack's answer to the current g (`unfeature.robust`); 0
    turns it off. Needs a labeller that can be differentiated."""
    robust_epsilon: float = Field(2.0, gt=0)
    """How far such an attack may go from its latent (L2, in latent units)."""
    robust_steps: int = Field(2, ge=1)
    """Its steps each time, from where the last time left it."""
    robust_every: int = Field(4, ge=1)
    """Updates of g between two times."""
    robust_keep: int = Field(8, ge=1)
    """Times after which a latent makes room for a fresh one."""
    goal: float = Field(0.01, ge=0, le=1)
    """With a linear gate, no further round once the target ratio of g is at most this."""


class EvaluateConfig(Settings):
    """How the result is judged."""

    n: int = Field(5000, ge=2)
    """Fresh latents, the same for original, erased and unlearned."""
    judge: LabelerConfig | None = None
    """Who judges; when not given, the labelling function itself, or for other labellers a second
    classifier distilled from labels the first has not seen."""
    features: str = ""
    """Extractor for FID, KID and IS: a shipped judge, a folder, "inception", or "inception:FILE";
    when not given, the shipped digits judge for 1×28×28 images, and none for others: the figures
    are then left out, and the report says so."""
    attributes: str = ""
    """A judge of many attributes (a shipped one or a folder) that tells what else changed."""
    leave_out: tuple[str, ...] = ()
    """Of its attributes: the feature itself, and what cannot be without it."""
    counterfactual: str = ""
    """For generators of avatars: the attribute whose perfect removal, which is known, the result is
    compared with."""
    grid: int = Field(16, ge=1, le=64)
    """Pictures a row of grids in the report."""


class VerdictConfig(Settings):
    """What the result may be at most; a limit that is not given decides nothing."""

    target_ratio: float | None = Field(None, ge=0, le=1)
    """Share of pictures that still show the feature."""
    negatives_l1: float | None = Field(None, ge=0)
    """Mean L1 to the original in pictures that never had the feature; images in [−1, 1]."""
    changed: float | None = Field(None, ge=0)
    """Other attributes that differ from the original's, a picture that never had the feature; needs
    `evaluate.attributes`."""
    changed_having: float | None = Field(None, ge=0)
    """The same for pictures that had it."""
    fid: float | None = Field(None, ge=0)
    """FID to the original's pictures without the feature; needs `evaluate.features`."""


class AttackConfig(Settings):
    """A budget."""

    norm: Norm = "l2"
    """Of the ball around the latent where a search begins."""
    epsilon: float = Field(2.0, ge=0)
    """Its radius, in latent units; inf for all plausible latents."""
    steps: int = Field(20, ge=1)
    """Queries of a restart."""
    restarts: int = Field(10, ge=1)
    """Searches a latent; the first begins at the latent itself, the others beside it."""
    loss: LossName = "margin"
    """What is climbed: the classifier's log-odds; the same up to a margin; or its cross-entropy."""
    confidence: float = Field(1.0, ge=0)
    """A search goes on until the classifier's score is above this, in its unit; above 0 it sees the
    feature, but another judge may not yet."""
    batch_size: int = Field(256, ge=1)
    """Latents at a time."""


class AttackTable(AttackConfig):
    """How the result is attacked."""

    n: int = Field(500, ge=1)
    """Latents to begin at, the same for every generator."""
    epsilons: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, float("inf"))
    """Radii, in rising order; what a smaller one finds counts for a larger one, too."""
    classifier: LabelerConfig | None = None
    """The attacker's classifier, h; when not given, the labeller if it can be differentiated and
    does not judge, else one distilled from its labels."""
    inversions: int = Field(0, ge=0)
    """Of the original's pictures with the feature, how many are looked up in the unlearned
    generator's latents; 0 leaves it out."""
    inversion_steps: int = Field(200, ge=1)
    """Steps of each inversion."""
    relearn: tuple[int, ...] = ()
    """Numbers of pictures with the feature from which it is taught again, e.g. [0, 10, 100]."""
    relearn_steps: int = Field(200, ge=1)
    """Updates of each lesson."""

    @model_validator(mode="after")
    def _rising(self) -> "AttackTable":
        if not self.epsilons or min(self.epsilons) < 0:
            raise ValueError("epsilons must be radii of 0 or more, e.g. [0, 1, 2, inf]")
        if list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError("epsilons must rise, e.g. [0, 1, 2, inf]")
        return self

    def at(self, epsilon: float) -> "AttackTable":
        """The same budget with another radius."""
        return self.model_copy(update={"epsilon": epsilon})


class Experiment(Settings):
    """One experiment: the content of an `experiment.toml`."""

    feature: str = Field(min_length=1)
    """What is to be unlearned, in words, e.g. "thick stroke"."""
    seed: int = Field(0, ge=0)
    """Everything random follows from it."""
    generator: GeneratorConfig
    label: LabelConfig
    attributes: dict[str, LabelerConfig] = {}
    """Other attributes to label on the same pictures, for entanglement and protection."""
    target: TargetConfig = TargetConfig()
    erase: EraseConfig = EraseConfig()
    unlearn: UnlearnConfig = UnlearnConfig()
    encoder: EncoderConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    verdict: VerdictConfig = VerdictConfig()
    attack: AttackTable = AttackTable()

    @model_validator(mode="after")
    def _measured(self) -> "Experiment":
        limits = self.verdict
        if not self.evaluate.attributes and (limits.changed, limits.changed_having) != (None, None):
            raise ValueError(
                "verdict.changed needs evaluate.attributes, a judge of attributes such as "
                "'avatars-referee'"
            )
        if limits.fid is not None and not self.evaluate.features:
            raise ValueError("verdict.fid needs evaluate.features, e.g. 'digits-judge'")
        return self

    @model_validator(mode="after")
    def _known_attributes(self) -> "Experiment":
        if self.erase.keep and (self.erase.path == "line" or self.label.by != "classifier"):
            raise ValueError(
                "erase.keep needs erase.path = 'descent' or 'donors', label.by = 'classifier'"
            )
        for name in self.target.protect:
            if name not in self.attributes:
                raise ValueError(
                    f"target.protect names '{name}', which is not under [attributes]"
                    f"{did_you_mean(name, self.attributes)}"
                )
        for name, attribute in self.attributes.items():
            if attribute.by == "sheet":
                raise ValueError(f"attributes.{name}: only a function or a classifier can label it")
        return self
