"""Settings of a comparison: one experiment, several methods, several training seeds."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from unfeature.config import Experiment, Settings
from unfeature.errors import UserError, did_you_mean
from unfeature.methods import (
    METHODS,
    Adapt,
    Amnesia,
    FinetuneGAN,
    FinetuneVAE,
    Redaction,
    Rejection,
)
from unfeature.settings import explain, read_experiment, read_toml

RESERVED = ("original", "labels")
"""Folders of a comparison that are no method's."""


def slug(name: str) -> str:
    """A method's folder."""
    return name.replace(",", "").replace(" ", "-")


PAPER = (
    *("erase.gate=paper", "erase.path=line", "erase.keep=[]", 'erase.keeper=""'),
    *("target.method=mean", "target.protect=[]"),
    *("unlearn.alpha=1", "unlearn.edges=0", "unlearn.gone=0", "unlearn.keep=0", "unlearn.tether=0"),
    "unlearn.robust=0",
    *("unlearn.pool=1", "unlearn.reuse=1", "unlearn.average=0"),
    *("unlearn.warmup=0", "unlearn.final_rate=1", "unlearn.betas=[0.9, 0.999]"),
    f"unlearn.patience={10**6}",
)
"""The paper's method to the letter: its direction, gate and loss, fresh latents each step, plain
Adam, every step of a round."""


class Unlearn(Settings):
    """This project's method, as the experiment's settings say."""

    kind: Literal["unlearn"] = "unlearn"
    set: tuple[str, ...] = ()
    """Settings that differ from the experiment's, e.g. "unlearn.robust=0.25"."""


class Paper(Settings):
    """The method of Moon, Cho and Kim (AAAI 2024), with the experiment's number of steps and
    rounds."""

    kind: Literal["paper"] = "paper"
    set: tuple[str, ...] = ()
    """Settings that differ from the paper's, or that it leaves open, e.g. "unlearn.steps=500"."""


class Folder(Settings):
    """A generator that was made elsewhere, e.g. an oracle by `unfeature train oracle`."""

    kind: Literal["folder"] = "folder"
    path: str
    """Where `save_pretrained` or `unfeature train` wrote it."""
    more: tuple[str, ...] = ()
    """Others of its kind, trained with other seeds: the row has their mean and spread, which is the
    floor for every other difference."""
    optional: bool = False
    """Whether those that are not there are left out; else they are asked for."""
    paired: bool = False
    """Whether a latent means the same picture as in the original; an oracle's do not."""

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [Path(path) for path in (self.path, *self.more)]


AnyMethod = Annotated[
    Unlearn | Paper | Folder | FinetuneGAN | FinetuneVAE | Redaction | Adapt | Amnesia | Rejection,
    Field(discriminator="kind"),
]


class Comparison(Settings):
    """One experiment, several methods: the content of a comparison's TOML file."""

    experiment: str
    """The experiment's TOML file: the generator, the feature, who labels and who judges."""
    set: tuple[str, ...] = ()
    """Settings of the experiment that differ, for all methods."""
    ours: str = "ours"
    """The method that is held against each of the others."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Of the trainings, one after the other; labels are drawn anew for each, too. Functions and
    classifiers have the first's thresholds and units for all, as its judge judges all."""
    n: int = Field(5000, ge=6)
    """Fresh latents, the same for all."""
    data: str = ""
    """Training data for the methods that need it, which is then also what quality is measured
    against: a folder, an .npz, or "avatars"."""
    data_n: int = Field(20_000, ge=1)
    """Pictures of it."""
    methods: dict[str, AnyMethod] = Field(min_length=1)
    """By the name that the table shows."""

    @model_validator(mode="after")
    def _complete(self) -> "Comparison":
        for name, method in self.methods.items():
            known = METHODS.get(method.kind)
            if known is not None and known.needs_data and not self.data:
                raise ValueError(f"methods.{name} needs training data; name it under 'data'")
            if not name.replace("-", "").replace(" ", "").replace(",", "").isalnum():
                raise ValueError(f"methods.'{name}': use letters, digits, spaces and hyphens")
        folders = Counter([*RESERVED, *(slug(name) for name in self.methods)])
        for name in self.methods:
            if folders[slug(name)] > 1:
                raise ValueError(
                    f"methods.'{name}': its folder '{slug(name)}' is another's, too; rename it"
                )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"'seeds' names one twice: {list(self.seeds)}")
        if self.ours not in self.methods:
            raise ValueError(
                f"'ours' names '{self.ours}', which is not under [methods]"
                f"{did_you_mean(self.ours, self.methods)}"
            )
        if isinstance(self.methods[self.ours], Folder):
            raise ValueError(f"'ours' names '{self.ours}', a folder; name a method that is trained")
        return self

    def only(self, names: Iterable[str]) -> "Comparison":
        """The same with these methods alone.

        Raises:
            UserError: one that is not there, or without ours.
        """
        names = list(names)
        for name in names:
            if name not in self.methods:
                raise UserError(
                    f"there is no method '{name}'{did_you_mean(name, self.methods)}; "
                    f"known: {', '.join(self.methods)}"
                )
        if self.ours not in names:
            raise UserError(f"the others are held against '{self.ours}'; name it, too")
        return self.model_copy(update={"methods": {name: self.methods[name] for name in names}})

    def same_as(self, before: dict[str, Any]) -> "Comparison":
        """An earlier comparison's settings with today's defaults, and of folders what may change:
        whether they are optional, and more of a kind after those that were there.

        Raises:
            ValidationError: they are no comparison's.
        """
        earlier = Comparison(**before)
        methods = dict(earlier.methods)
        for name, was in earlier.methods.items():
            now = self.methods.get(name)
            if isinstance(was, Folder) and isinstance(now, Folder):
                if now.more[: len(was.more)] == was.more:
                    was = was.model_copy(update={"more": now.more})
                methods[name] = was.model_copy(update={"optional": now.optional})
        return earlier.model_copy(update={"methods": methods})

    def resolved(self, name: str | None = None, seed: int | None = None) -> Experiment:
        """The experiment, as one of the methods runs it.

        Raises:
            UserError: its file cannot be read, or a setting is wrong.
        """
        method = self.methods[name] if name else None
        changes = list(self.set)
        if isinstance(method, Paper):
            changes += PAPER
        if isinstance(method, Unlearn | Paper):
            changes += method.set
        if seed is not None:
            changes.append(f"seed={seed}")
        experiment = read_experiment(Path(self.experiment), changes)
        if seed in self.seeds[1:] and experiment.calibration is None:
            experiment = experiment.model_copy(update={"calibration": self.seeds[0]})
        return experiment


def read_comparison(path: Path, overrides: Iterable[str] = ()) -> Comparison:
    """The settings in a TOML file, with `key=value` overrides, each method's experiment checked.

    Raises:
        UserError: one line for what is wrong.
    """
    try:
        comparison = Comparison(**read_toml(path, overrides))
    except ValidationError as error:
        raise UserError(f"{path}: {explain(dict(error.errors()[0]), Comparison)}") from error
    for name in comparison.methods:
        comparison.resolved(name)
    return comparison
