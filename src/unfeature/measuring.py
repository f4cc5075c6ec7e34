"""The measuring of a comparison: every method on the same latents, by the same jury. What was
measured is kept, and measured again only where something it is about was made since."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from unfeature.adapters.files import (
    load_tensors,
    make_folder,
    read_json,
    save_tensors,
    write_json,
)
from unfeature.adapters.sources import load_source
from unfeature.comparison import AnyMethod, Comparison, Folder
from unfeature.config import Experiment
from unfeature.evaluate.contest import Jury, Sight, held_against, measure
from unfeature.evaluate.verdict import clean_pictures, judged
from unfeature.examination import choose_extractor, load_closer, load_examiner
from unfeature.folder import RunFolder, versions
from unfeature.generator import Generator, draw
from unfeature.labels import sample_seeds
from unfeature.methods import METHODS
from unfeature.panel import Panel, load_panel
from unfeature.place import Place, load_data, load_result
from unfeature.progress import Progress
from unfeature.report.comparison import Row

Viewer = dict[str, Tensor]
ORIGINAL = "original"
SHOWN = 12
"""Pictures of each kind in the pair viewer."""


def measure_all(
    comparison: Comparison, place: Place, made: Mapping[str, list[int]], progress: Progress
) -> tuple[list[Row], dict[str, str]]:
    """A row for the original and one for each method, ours measured first; and how all were
    measured.

    Args:
        made: every method's trainings.
    """
    first = RunFolder.open(place.labels(comparison.seeds[0]))
    experiment = first.experiment()
    panel = load_panel(first.path / "panel")
    original = load_source(experiment.generator)
    jury = make_jury(comparison, experiment, panel, original)
    seeds = sample_seeds(comparison.n, 0, "compare").tolist()
    before = jury.look(draw(original, original.latents_from_seeds(seeds)))
    chosen = _chosen(before)
    _keep(place, ORIGINAL, comparison.seeds[0], before, chosen)
    own = measure(jury, before, before, paired=True).as_dict()
    rows = [Row(ORIGINAL, (own,), (), (), True, False, True)]
    order = sorted(comparison.methods, key=lambda name: name != comparison.ours)
    ours: dict[int, Sight] = {}
    found = {}
    for name in order:
        method = comparison.methods[name]
        known = METHODS.get(method.kind)
        paired = method.paired if isinstance(method, Folder) else True
        measured, duels, costs = [], [], []
        for seed in made[name]:
            folder = place.method(name, seed)
            against = _opponents(comparison, method, made[name], seed)
            sources = [place.method(comparison.ours, s) / "cost.json" for s in against]
            if isinstance(method, Folder):
                sources.append(method.paths[seed] / "config.json")
            if name == comparison.ours or not _fresh(folder, sources, against):
                progress.say(f"{name}, {seed}: measuring")
                result = load_result(comparison, place, name, seed)
                after = jury.look(draw(result, result.latents_from_seeds(seeds)))
                if name == comparison.ours:
                    ours[seed] = after
                else:
                    held = {
                        str(s): asdict(held_against(before, ours[s], after, paired=paired))
                        for s in against
                    }
                    write_json(folder / "duels.json", held)
                figures = measure(jury, before, after, paired=paired).as_dict()
                _keep(place, name, seed, after, chosen)
                write_json(folder / "measured.json", figures)
            measured.append(read_json(folder / "measured.json"))
            if name != comparison.ours:
                duels += read_json(folder / "duels.json").values()
            costs += _costs(folder, method, seed)
        needs_data = isinstance(method, Folder) or (known is not None and known.needs_data)
        weights = known is None or known.weights
        found[name] = Row(
            name, tuple(measured), tuple(duels), tuple(costs), paired, needs_data, weights
        )
    rows += [found[name] for name in comparison.methods]
    return rows, _protocol(comparison, jury)


def _protocol(comparison: Comparison, jury: Jury) -> dict[str, str]:
    """How all methods were measured, by words for people."""
    facts = {
        "judge of the feature": jury.judge.name,
        "latents": f"{comparison.n} fresh ones of seed 0, the same for all",
        "training seeds": ", ".join(map(str, comparison.seeds)),
    }
    if jury.examiner is not None:
        facts["judge of what else changed"] = jury.examiner.reference
    if jury.closer is not None:
        facts["judge of rests of the feature"] = jury.closer.name
    if jury.extractor is not None and jury.wanted is not None:
        of = f"of '{comparison.data}'" if comparison.data else "of the original's own"
        facts["quality"] = (
            f"in {jury.extractor.name}, against {len(jury.wanted)} pictures {of} that lack the "
            "feature, precision and its like of as many of both"
        )
    return facts | versions()


def _costs(folder: Path, method: AnyMethod, seed: int) -> list[dict[str, float]]:
    """What one training took, where that is known: of a folder by what `unfeature train` noted."""
    if not isinstance(method, Folder):
        return [read_json(folder / "cost.json")]
    about = read_json(method.paths[seed] / "config.json").get("about") or {}
    figures = about.get("figures") or {}
    keys = ("seconds", "megabytes")
    if "unlearned" in about:  # those figures are its original's
        return []
    if not all(key in figures for key in keys):
        return []
    return [{key: float(figures[key]) for key in keys}]


def _opponents(
    comparison: Comparison, method: AnyMethod, made: list[int], training: int
) -> list[int]:
    """Ours' seeds that are held against one training of a method: the same seed's, and of folders
    every so many."""
    if not isinstance(method, Folder):
        return [training]
    return list(comparison.seeds[made.index(training) :: len(made)])


def _fresh(folder: Path, sources: list[Path], against: list[int]) -> bool:
    """Whether figures were measured after their `sources` were made, and held against these
    trainings of ours."""
    measured, duels = folder / "measured.json", folder / "duels.json"
    if not measured.exists() or not duels.exists():
        return False
    if list(read_json(duels)) != [str(seed) for seed in against]:
        return False
    return all(measured.stat().st_mtime >= path.stat().st_mtime for path in sources)


def make_jury(
    comparison: Comparison, experiment: Experiment, panel: Panel, original: Generator
) -> Jury:
    """Who judges all methods. Quality is measured against the data without the feature where there
    is data, and against the original's own pictures without it where there is none."""
    extractor = choose_extractor(experiment, original)
    wanted = None
    if extractor is not None:
        pictures = load_data(comparison, original)
        if pictures is not None:
            pictures = pictures[judged(panel.judge, pictures) <= 0][: comparison.n]
        else:
            pictures = clean_pictures(original, panel.judge, comparison.n, seed=0)
        wanted, _ = extractor(pictures)
    settings = experiment.evaluate
    return Jury(
        panel.judge,
        load_examiner(settings),
        settings.leave_out,
        extractor,
        wanted,
        load_closer(settings, original, seed=experiment.calibration_seed),
    )


def _chosen(before: Sight) -> torch.Tensor:
    """Rows for the viewer: the first that had the feature, then the first that did not."""
    had, lacked = before.shows.nonzero().squeeze(1), (~before.shows).nonzero().squeeze(1)
    return torch.cat([had[:SHOWN], lacked[:SHOWN]])


def _keep(place: Place, name: str, seed: int, sight: Sight, chosen: torch.Tensor) -> None:
    """Keep a few pictures for the viewer."""
    folder = place.method(name, seed)
    make_folder(folder)
    save_tensors(folder / "pictures.safetensors", {"images": sight.images[chosen].contiguous()})


def load_viewer(place: Place, comparison: Comparison, made: Mapping[str, list[int]]) -> Viewer:
    """By method, its pictures of the same latents, of its first training."""
    first = {ORIGINAL: comparison.seeds[0]} | {name: made[name][0] for name in comparison.methods}
    return {
        name: load_tensors(place.method(name, seed) / "pictures.safetensors")["images"]
        for name, seed in first.items()
    }
