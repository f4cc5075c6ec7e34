"""`unfeature compare`: train every method, measure all on the same latents, write the table.

All reading and writing of a comparison happens here; each training runs in a process of its own,
whose time and peak memory are thus its own.
"""

import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from unfeature.adapters.files import (
    atomic,
    load_tensors,
    make_folder,
    read_json,
    save_tensors,
    write_json,
)
from unfeature.adapters.pretrained import load_generator, save_generator
from unfeature.adapters.sources import load_made, load_source
from unfeature.apart import run_apart
from unfeature.comparison import Comparison, Folder, Paper, Unlearn, slug
from unfeature.config import Experiment
from unfeature.errors import UserError
from unfeature.evaluate.contest import Jury, Sight, held_against, measure
from unfeature.evaluate.verdict import clean_pictures, judged
from unfeature.examination import choose_extractor, load_examiner
from unfeature.folder import RunFolder, versions
from unfeature.generator import Generator, draw
from unfeature.labels import LatentSet, sample_seeds
from unfeature.methods import METHODS, Problem
from unfeature.panel import Panel, load_panel
from unfeature.progress import Progress
from unfeature.report.comparison import Row, render_comparison, sheet, table
from unfeature.run import run_experiment
from unfeature.train import load_pictures

ORIGINAL = "original"
SHOWN = 12
"""Pictures of each kind in the pair viewer."""


@dataclass(frozen=True)
class Place:
    """Where a comparison's files lie."""

    path: Path

    def labels(self, seed: int) -> Path:
        return self.path / "labels" / f"seed-{seed}"

    def method(self, name: str, seed: int) -> Path:
        return self.path / slug(name) / f"seed-{seed}"


def compare(
    comparison: Comparison, path: Path, *, resume: bool = False, progress: Progress | None = None
) -> list[Row]:
    """The rows of the table; `path` holds it as `comparison.html`, `.md`, `.png` and
    `.json`.

    Args:
        resume: go on with the comparison in `path`: what is trained or measured there is kept.

    Raises:
        UserError: there is one already, or the one to resume has other settings.
    """
    progress = progress or Progress(quiet=True)
    place = Place(path)
    comparison, absent = comparison.without_absent()
    for folder in absent:
        progress.say(f"left out: there is no generator in '{folder}' yet")
    original = load_source(comparison.resolved().generator)
    for name, method in comparison.methods.items():  # before anything is trained
        if isinstance(method, Folder):
            _require_folder(comparison, name, method, original)
    data = _data(comparison, original)
    if data is not None and tuple(data.shape[1:]) != original.image_shape:
        raise UserError(
            f"the pictures of data = '{comparison.data}' are {list(data.shape[1:])}, the "
            f"generator's {list(original.image_shape)}; give data of the same shape"
        )
    _claim(comparison, path, resume)
    for seed in comparison.seeds:
        labels = comparison.resolved(seed=seed)
        run_experiment(labels, place.labels(seed), resume=True, until="label", progress=progress)
        for name, method in comparison.methods.items():
            folder = place.method(name, seed)
            if isinstance(method, Folder) or (folder / "cost.json").exists():
                continue
            progress.say(f"{name}, seed {seed}: training")
            run_apart(train, comparison, path, name, seed, progress.quiet)
    trainings = {
        name: _trainings(comparison, method) for name, method in comparison.methods.items()
    }
    rows, facts = _measure_all(comparison, place, trainings, progress)
    write_json(path / "comparison.json", [row.as_dict() for row in rows])
    with atomic(path / "comparison.md") as temporary:
        temporary.write_text(table(rows))
    viewer = _viewer(
        place, {ORIGINAL: comparison.seeds[0]} | {k: v[0] for k, v in trainings.items()}
    )
    with atomic(path / "comparison.png") as temporary:
        temporary.write_bytes(sheet(viewer))
    with atomic(path / "comparison.html") as temporary:
        temporary.write_text(
            render_comparison(comparison.resolved().feature, rows, viewer, facts=facts)
        )
    return rows


def _require_folder(comparison: Comparison, name: str, method: Folder, original: Generator) -> None:
    """Raise unless there are generators that draw pictures of the original's shape."""
    for path in method.there if method.optional else method.paths:
        if path not in method.there:
            raise UserError(
                f"methods.{name}: there is no generator in '{path}'; make it first, or "
                "leave it out with --only and the others' names"
            )
        made = load_generator(path, factory=comparison.resolved().generator.factory)
        if made.image_shape != original.image_shape:
            raise UserError(
                f"methods.{name}: the generator in '{path}' draws {list(made.image_shape)}, "
                f"the original {list(original.image_shape)}; give one of the same shape, or leave "
                "it out with --only and the others' names"
            )


def _claim(comparison: Comparison, path: Path, resume: bool) -> None:
    """Make the folder this comparison's, or find that it is."""
    settings = path / "settings.json"
    now = comparison.model_dump(mode="json")
    known: dict[str, Any] = {}
    if settings.exists() and not resume:
        raise UserError(
            f"'{path}' already holds a comparison; go on with --resume, or choose another with -o"
        )
    if settings.exists():
        before = comparison.same_as(read_json(settings)).model_dump(mode="json")
        free = ("methods", "seeds")  # more may be added, others dropped
        changed = [key for key in now if key not in free and now[key] != before.get(key)]
        if now["seeds"][:1] != before["seeds"][:1]:  # its panel judges them all
            changed.append("the first of seeds")
        known = before["methods"]  # those left out now keep their settings
        if changed:
            raise UserError(
                f"the comparison in '{path}' has other settings ({changed[0]}); resume with equal "
                "settings, or choose another folder with -o"
            )
        for name, value in now["methods"].items():
            if known.get(name, value) != value and (path / slug(name)).exists():
                raise UserError(
                    f"the comparison in '{path}' has other settings (methods.{name}); resume with "
                    f"equal settings, or delete '{path / slug(name)}' to run it anew"
                )
    make_folder(path)
    write_json(settings, {**now, "methods": {**known, **now["methods"]}})


def train(comparison: Comparison, path: Path, name: str, seed: int, quiet: bool) -> None:
    """Train one method with one seed; its folder then holds its generator and `cost.json`."""
    place, method = Place(path), comparison.methods[name]
    folder = place.method(name, seed)
    make_folder(folder)
    if isinstance(method, Unlearn | Paper):
        experiment = comparison.resolved(name, seed)
        run = run_experiment(
            experiment, folder / "run", resume=True, until="unlearn", progress=Progress(quiet)
        )
        seconds = run.seconds()["target"] + run.seconds()["unlearn"]
    else:
        problem = load_problem(comparison, place, seed)
        began = time.perf_counter()
        known = METHODS[method.kind]
        made = known.run(problem, method)
        seconds = time.perf_counter() - began
        if known.weights:
            settings = method.model_dump(mode="json")
            notes = {"method": name, "source": known.source, "settings": settings}
            unlearned = made.requires_grad(False).with_about(unlearned=notes)
            save_generator(unlearned, folder / "generator")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (folder / "measured.json").unlink(missing_ok=True)
    write_json(folder / "cost.json", {"seconds": seconds, "megabytes": peak / 1e6})


def load_problem(comparison: Comparison, place: Place, seed: int) -> Problem:
    """What a method is given: the labels of the run that was labelled for this seed."""
    run = RunFolder.open(place.labels(seed))
    original = load_source(run.experiment().generator)
    return Problem(
        original,
        LatentSet.load(run.labels).sure(),
        load_panel(run.path / "panel").gate,
        seed,
        _data(comparison, original),
    )


def _data(comparison: Comparison, original: Generator) -> torch.Tensor | None:
    if not comparison.data:
        return None
    return load_pictures(comparison.data, comparison.data_n, size=original.image_shape[1])


def _load_made(comparison: Comparison, place: Place, name: str, seed: int) -> Generator:
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


def _measure_all(
    comparison: Comparison, place: Place, trainings: dict[str, list[int]], progress: Progress
) -> tuple[list[Row], dict[str, str]]:
    """A row for the original and one for each method, ours measured first; and how all were
    measured."""
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
        for seed in trainings[name]:
            folder = place.method(name, seed)
            against = _opponents(comparison, method, trainings[name], seed)
            made_by = [place.method(comparison.ours, s) / "cost.json" for s in against]
            if isinstance(method, Folder):
                made_by.append(method.paths[seed] / "config.json")
            if name == comparison.ours or not _fresh(folder, made_by, against):
                progress.say(f"{name}, {seed}: measuring")
                made = _load_made(comparison, place, name, seed)
                after = jury.look(draw(made, made.latents_from_seeds(seeds)))
                if name == comparison.ours:
                    ours[seed] = after
                else:
                    duels_now = {
                        str(s): asdict(held_against(before, ours[s], after, paired=paired))
                        for s in against
                    }
                    write_json(folder / "duels.json", duels_now)
                figures = measure(jury, before, after, paired=paired).as_dict()
                _keep(place, name, seed, after, chosen)
                write_json(folder / "measured.json", figures)
            measured.append(read_json(folder / "measured.json"))
            if name != comparison.ours:
                duels += read_json(folder / "duels.json").values()
            costs += [read_json(folder / "cost.json")] if not isinstance(method, Folder) else []
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
        "latents": f"{comparison.n} fresh ones, the same for all",
        "training seeds": ", ".join(map(str, comparison.seeds)),
    }
    if jury.examiner is not None:
        facts["judge of other attributes"] = jury.examiner.reference
    if jury.extractor is not None and jury.wanted is not None:
        of = f"of '{comparison.data}'" if comparison.data else "of the original's own"
        facts["quality"] = (
            f"in {jury.extractor.name}, against {len(jury.wanted)} pictures {of} that lack the "
            "feature"
        )
    return facts | versions()


def _trainings(comparison: Comparison, method: Any) -> list[int]:
    """A method's seeds; of folders, the indices of those that are there."""
    if isinstance(method, Folder):
        return [index for index, path in enumerate(method.paths) if path in method.there]
    return list(comparison.seeds)


def _opponents(
    comparison: Comparison, method: Any, trainings: list[int], training: int
) -> list[int]:
    """Ours' seeds that are held against one training of a method: the same seed's, and of folders
    every so many."""
    if not isinstance(method, Folder):
        return [training]
    return list(comparison.seeds[trainings.index(training) :: len(trainings)])


def _fresh(folder: Path, made: list[Path], against: list[int]) -> bool:
    """Whether figures were measured after what they are about was `made`, and held against these
    trainings of ours."""
    measured, duels = folder / "measured.json", folder / "duels.json"
    if not measured.exists() or not duels.exists():
        return False
    if list(read_json(duels)) != [str(seed) for seed in against]:
        return False
    return all(measured.stat().st_mtime >= path.stat().st_mtime for path in made)


def make_jury(
    comparison: Comparison, experiment: Experiment, panel: Panel, original: Generator
) -> Jury:
    """Who judges all methods. Quality is measured against the data without the feature where there
    is data, and against the original's own pictures without it where there is none."""
    extractor = choose_extractor(experiment, original)
    wanted = None
    if extractor is not None:
        pictures = _data(comparison, original)
        if pictures is not None:
            pictures = pictures[judged(panel.judge, pictures) <= 0][: comparison.n]
        else:
            pictures = clean_pictures(original, panel.judge, comparison.n, seed=0)
        wanted, _ = extractor(pictures)
    settings = experiment.evaluate
    return Jury(panel.judge, load_examiner(settings), settings.leave_out, extractor, wanted)


def _chosen(before: Sight) -> torch.Tensor:
    """Rows for the viewer: the first that had the feature, then the first that did not."""
    had, lacked = before.shows.nonzero().squeeze(1), (~before.shows).nonzero().squeeze(1)
    return torch.cat([had[:SHOWN], lacked[:SHOWN]])


def _keep(place: Place, name: str, seed: int, sight: Sight, chosen: torch.Tensor) -> None:
    """Keep a few pictures for the viewer."""
    folder = place.method(name, seed)
    make_folder(folder)
    save_tensors(folder / "pictures.safetensors", {"images": sight.images[chosen].contiguous()})


def _viewer(place: Place, first: dict[str, int]) -> dict[str, torch.Tensor]:
    """By method, its pictures of the same latents, of its first training."""
    return {
        name: load_tensors(place.method(name, seed) / "pictures.safetensors")["images"]
        for name, seed in first.items()
    }
