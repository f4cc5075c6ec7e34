"""Settings of the method: the direction, the eraser, the fine-tuning."""

from typing import Literal

from pydantic import Field

from unfeature.config.base import Settings, Share


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
    """The share of pictures with the feature that the gate must find: for "calibrated" of those
    labelled, and for "image" when a person labelled of held-out ones."""
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
    """For "descent" and "donors", in the first round: so many latents are looked at on the way from
    ẑ (the first of them) towards the original's own picture, so that less of it changes; each costs
    as much as a step of the descent, and needs a labeller that can be differentiated."""
    stride: float = Field(1.0, gt=0)
    """Length of the steps of `refine` and `approaches`: times 0.14 at first, 0.02 at last, in
    latent units, and √k for k layers that move by themselves."""
    layers: bool = False
    """For `refine` and `approaches` in w of a StyleGAN2: move every layer's w by itself; take more
    steps then, e.g. `refine` = 60."""
    sharpen: float = Field(0.0, ge=0)
    """For "image": ẑ's picture must lack the feature when it is sharpened so much, too (2 is a
    lot), so that no faint rest stays that the labeller overlooks; 0 asks of the picture alone."""
    confine: float = Field(0.0, ge=0, le=1)
    """For "image": above 0, what is learnt is ẑ's picture only inside the region that takes the
    feature away, and the original's own around it; the region holds at least this share of it, e.g.
    0.6, and its picture's score is below −margin/2. Needs a labeller that can be differentiated
    (and one that is not easily fooled), and a feature that has a place in the picture: glasses, not
    an age."""
    keep: tuple[str, ...] = ()
    """For "descent" and "donors", when a classifier of attributes labels: which of its other
    attributes should stay as they are in ẑ's picture; with a `keeper`, which of its attributes, or
    of its classes, all of which do where none is named."""
    keeper: str = ""
    """For "descent" and "donors": another classifier that sees what should stay as it is, e.g.
    which digit it is: a shipped one, a folder, or a `module:factory`. It needs a gradient where the
    labeller does, and may not be the one that judges, under `evaluate.attributes`."""
    approaches: int = Field(12, ge=0)
    """For "descent" and "donors", in later rounds: the same towards what g already draws."""
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
    edges: float = Field(0.0, ge=0)
    """λ, the weight of how far differences between neighbouring pixels of g's pictures are from
    those of f(ẑ), where the feature is to go; e.g. 0.5, against specks that a generator of few
    layers leaves. 0 leaves it out."""
    gone: float = Field(0.0, ge=0)
    """λ, the weight of what is left of the feature where it is to go: how far, in the labeller's
    unit, its score of g's pictures is above that of those they are to be like; e.g. 0.05. Needs a
    labeller that can be differentiated; 0 leaves it out."""
    keep: float = Field(0.0, ge=0)
    """λ, the weight of the attributes in `erase.keep`: how far, in the log-odds of the labeller or
    of `erase.keeper`, g's pictures stray from those they are to be like; e.g. 0.01. Needs a
    labeller that can be differentiated; 0 leaves it out."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Adam's step size after warm-up."""
    final_rate: float = Field(0.02, ge=0, le=1)
    """Share of `learning_rate` that is left at the end of the cosine."""
    warmup: int = Field(20, ge=0)
    """Updates over which the step size grows from zero."""
    betas: tuple[Share, Share] = (0.9, 0.99)
    """Adam's decay rates."""
    tether: float = Field(0.0, ge=0, lt=1)
    """The share of the way back to the original's weights that is taken after every update, so that
    what the lessons do not need stays as it was; e.g. 0.002. It does not shrink with the step
    size, so where some of the feature comes back at the end, let that shrink less: a `final_rate`
    of 0.3."""
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
