"""Where a comparison's files lie, and what is read from there."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from unfeature.adapters.sources import load_made, load_source
from unfeature.comparison import Comparison, Folder, Paper, Unlearn, slug
from unfeature.folder import RunFolder
from unfeature.generator import Generator
from unfeature.labels import LatentSet
from unfeature.methods import METHODS, Problem
from unfeature.panel import load_panel
from unfeature.train import load_pictures


@dataclass(frozen=True)
class Place:
    """Where a comparison's files lie."""

    path: Path

    def labels(self, seed: int) -> Path:
        return self.path / "labels" / f"seed-{seed}"

    def method(self, name: str, seed: int) -> Path:
        return self.path / slug(name) / f"seed-{seed}"


def trainings(comparison: Comparison) -> dict[str, list[int]]:
    """Every method's trainings: the seeds, and of folders the indices of those that hold a
    generator by now."""
    return {
        name: [i for i, path in enumerate(method.paths) if (path / "config.json").is_file()]
        if isinstance(method, Folder)
        else list(comparison.seeds)
        for name, method in comparison.methods.items()
    }


def load_problem(comparison: Comparison, place: Place, seed: int) -> Problem:
    """What a method is given: the labels of the run that was labelled for this seed."""
    run = RunFolder.open(place.labels(seed))
    original = load_source(run.experiment().generator)
    return Problem(
        original,
        LatentSet.load(run.labels).sure(),
        load_panel(run.path / "panel").gate,
        seed,
        load_data(comparison, original),
    )


def load_data(comparison: Comparison, original: Generator) -> Float[Tensor, "n c h w"] | None:
    """The training data that a comparison names, in the original's size, if it names any."""
    if not comparison.data:
        return None
    return load_pictures(comparison.data, comparison.data_n, size=original.image_shape[1])


def load_result(comparison: Comparison, place: Place, name: str, seed: int) -> Generator:
    """The generator that a method made with this seed; of folders, that of this index."""
    method = comparison.methods[name]
    folder, config = place.method(name, seed), comparison.resolved().generator
    if isinstance(method, Unlearn | Paper):
        return load_made(config, folder / "run" / "unlearned")
    if isinstance(method, Folder):
        made = load_made(config, method.paths[seed])
        return made.in_space(made.latent_space, truncation=config.truncation)
    if not METHODS[method.kind].weights:
        return METHODS[method.kind].run(load_problem(comparison, place, seed), method)
    return load_made(config, folder / "generator")
