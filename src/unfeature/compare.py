"""`unfeature compare`: train every method, measure all on the same latents, write the table.

Each training runs in a process of its own, whose time and peak memory are thus its own; where the
files lie says `place.py`, how the results are measured `measuring.py`.
"""

import time
from pathlib import Path
from typing import Any

from unfeature.adapters.files import atomic, make_folder, read_json, write_json
from unfeature.adapters.pretrained import load_generator, save_generator
from unfeature.adapters.sources import load_source
from unfeature.apart import run_apart
from unfeature.comparison import Comparison, Folder, Paper, Unlearn, slug
from unfeature.cost import Cost, peak_megabytes
from unfeature.errors import UserError
from unfeature.folder import RunFolder, versions
from unfeature.generator import Generator
from unfeature.measuring import load_viewer, measure_all
from unfeature.methods import METHODS
from unfeature.place import Place, load_data, load_problem, trainings
from unfeature.progress import Progress
from unfeature.report.comparison import Row, render_comparison, sheet, table
from unfeature.run import run_experiment


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
    original = load_source(comparison.resolved().generator)
    made = trainings(comparison)
    for name, method in comparison.methods.items():  # before anything is trained
        if isinstance(method, Folder):
            _require_folder(comparison, name, method, made[name], original, progress)
    comparison = comparison.only(name for name in comparison.methods if made[name])
    data = load_data(comparison, original)
    if data is not None and tuple(data.shape[1:]) != original.image_shape:
        raise UserError(
            f"the pictures of data = '{comparison.data}' are {list(data.shape[1:])}, the "
            f"generator's {list(original.image_shape)}; give data of the same shape"
        )
    _claim(comparison, path, resume)
    _require_one_line(comparison, place)
    for seed in comparison.seeds:
        labels = comparison.resolved(seed=seed)
        run_experiment(labels, place.labels(seed), resume=True, until="label", progress=progress)
        for name, method in comparison.methods.items():
            folder = place.method(name, seed)
            if isinstance(method, Folder) or (folder / "cost.json").exists():
                continue
            progress.say(f"{name}, seed {seed}: training")
            run_apart(train, comparison, path, name, seed, progress.quiet)
    rows, facts = measure_all(comparison, place, made, progress)
    told = {key: fact for key, fact in facts.items() if key not in versions()}
    write_json(path / "comparison.json", [row.as_dict() for row in rows])
    with atomic(path / "comparison.md") as temporary:
        temporary.write_text(table(rows, facts=told))
    viewer = load_viewer(place, comparison, made)
    with atomic(path / "comparison.png") as temporary:
        temporary.write_bytes(sheet(viewer))
    with atomic(path / "comparison.html") as temporary:
        temporary.write_text(
            render_comparison(comparison.resolved().feature, rows, viewer, facts=facts)
        )
    return rows


def _require_folder(
    comparison: Comparison,
    name: str,
    method: Folder,
    made: list[int],
    original: Generator,
    progress: Progress,
) -> None:
    """Say which optional generators are not there, and raise where another is not, or where one
    draws pictures of another shape than the original's."""
    for index, path in enumerate(method.paths):
        if index not in made and method.optional:
            progress.say(f"left out: there is no generator in '{path}' yet")
            continue
        if index not in made:
            raise UserError(
                f"methods.{name}: there is no generator in '{path}'; make it first, or "
                "leave it out with --only and the others' names"
            )
        found = load_generator(path, factory=comparison.resolved().generator.factory)
        if found.image_shape != original.image_shape:
            raise UserError(
                f"methods.{name}: the generator in '{path}' draws {list(found.image_shape)}, "
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


def _require_one_line(comparison: Comparison, place: Place) -> None:
    """Raise where a seed's labels are of an earlier version, in which each drew its own line."""
    for seed in comparison.seeds[1:]:
        labels = RunFolder(place.labels(seed))
        if not labels.settings.exists():
            continue
        if labels.experiment().calibration != comparison.resolved(seed=seed).calibration:
            raise UserError(
                f"the trainings of seed {seed} in '{place.path}' are of an earlier version, in "
                "which each seed drew its own line between pictures with the feature and without; "
                f"delete every 'seed-{seed}' in there to train them anew, or leave that seed out"
            )


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
    (folder / "measured.json").unlink(missing_ok=True)
    write_json(folder / "cost.json", vars(Cost(seconds, peak_megabytes())))
