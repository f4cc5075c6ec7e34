"""What each command of the command line does; imports wait until a command needs them."""

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

from unfeature.errors import UserError, did_you_mean


def demo(arguments: Any) -> int:
    demos = files("unfeature") / "demos"
    known = sorted(entry.name.removesuffix(".toml") for entry in demos.iterdir())
    if arguments.name not in known:
        raise UserError(
            f"there is no demo '{arguments.name}'{did_you_mean(arguments.name, known)}; "
            f"known: {', '.join(known)}"
        )
    arguments.experiment = Path(str(demos / f"{arguments.name}.toml"))
    arguments.dry_run = False
    return run(arguments)


def run(arguments: Any) -> int:
    from unfeature.progress import Progress
    from unfeature.run import run_experiment
    from unfeature.settings import read_experiment, to_toml
    from unfeature.texts import after

    experiment = read_experiment(arguments.experiment, arguments.set)
    if arguments.dry_run:
        settings = experiment.model_dump(mode="json")
        print(as_json(settings) if arguments.json else to_toml(experiment), end="")
        return 0
    path = arguments.output or default_output(arguments.experiment)
    run = run_experiment(
        experiment, path, resume=arguments.resume, progress=Progress(arguments.quiet)
    )
    show(arguments, *after(run, "report"))
    return status(run)


def status(run: Any) -> int:
    """0 where the limits in [verdict] are kept or there are none, 3 where one is broken, 4 where
    more samples are needed to tell."""
    from unfeature.evaluate.criteria import STATUS, overall

    outcome = overall(run.read_criteria())
    return STATUS[outcome] if outcome else 0


def default_output(experiment: Path) -> Path:
    name = experiment.parent.name if experiment.stem == "experiment" else experiment.stem
    return Path("runs") / (name or "experiment")


def sample(arguments: Any) -> None:
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.settings import read_experiment
    from unfeature.stages import sample_stage

    experiment = read_experiment(arguments.experiment, arguments.set)
    run = RunFolder.create(arguments.output or default_output(arguments.experiment), experiment)
    sample_stage(run, Progress(arguments.quiet))
    found = {"run": str(run.path), "n": experiment.label.n}
    show(arguments, found, f"next: unfeature label {run.path}")


def one_stage(arguments: Any) -> int:
    from unfeature import texts
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.run import do_stage
    from unfeature.settings import read_experiment

    run = RunFolder.open(arguments.run)
    if getattr(arguments, "human", False):
        if arguments.set:
            raise UserError("--set does not go with --human: the pairs follow the run's settings")
        return human(arguments, run)
    if arguments.stage == "evaluate" and arguments.answers:
        raise UserError("--answers goes with --human")
    changes = list(arguments.set)
    for option in ("by", "answers"):
        if arguments.stage == "label" and getattr(arguments, option):
            changes.append(f"label.{option}={json.dumps(getattr(arguments, option))}")
    resume = getattr(arguments, "resume", False)
    if resume and changes:
        raise UserError(
            "a checkpoint is gone on with under the settings it was made with; give --set without "
            "--resume to begin anew"
        )
    run.require_effect(arguments.stage, changes)
    with run.unless_refused():
        if changes:
            run.write_settings(read_experiment(run.settings, changes))
        run.reopen(arguments.stage)
        do_stage(run, arguments.stage, Progress(arguments.quiet), resume=resume)
    show(arguments, *texts.after(run, arguments.stage))
    return status(run) if arguments.stage == "evaluate" else 0


def attack(arguments: Any) -> None:
    from unfeature.attacking import attack_run
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.report.words import attack_table
    from unfeature.settings import read_experiment

    run = RunFolder.open(arguments.run)
    for change in arguments.set:
        if not change.startswith("attack."):
            raise UserError(f"--set {change}: an attack changes only attack.key=value")
    also: dict[str, Path] = {}
    for pair in arguments.also:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise UserError(f"--also {pair}: write NAME=FOLDER, e.g. finetune=runs/finetune")
        if name in also:
            raise UserError(f"--also {pair}: '{name}' is '{also[name]}' already; give another name")
        also[name] = Path(folder)
    with run.unless_refused():
        if arguments.set:
            run.write_settings(read_experiment(run.settings, arguments.set))
        found = attack_run(
            run,
            Progress(arguments.quiet),
            oracle=arguments.oracle,
            also=also,
            allow_same_judge=arguments.allow_same_judge,
        )
    text = f"{attack_table(found)}\nnext: unfeature report {run.path}"
    show(arguments, {"run": str(run.path), **found}, text)


def human(arguments: Any, run: Any) -> int:
    """Read the answers where a person gave some; else write the sheets."""
    from dataclasses import asdict

    from unfeature.human import answered, read_human, write_human
    from unfeature.report.words import human_text

    if arguments.pairs < 2:
        raise UserError(f"--pairs is {arguments.pairs}; give 2 or more")
    if arguments.answers or answered(run.path / "human" / "answers.txt"):
        found = asdict(read_human(run, arguments.answers))
        show(arguments, found, "\n".join(human_text(found)))
    else:
        path = write_human(run, arguments.pairs)
        text = f"pairs are in '{path.parent}': fill in '{path}', then the same command again"
        show(arguments, {"answers": str(path)}, text)
    return 0


def compare(arguments: Any) -> None:
    from unfeature.compare import compare
    from unfeature.comparison import read_comparison
    from unfeature.progress import Progress
    from unfeature.report.comparison import table

    comparison = read_comparison(arguments.comparison, arguments.set)
    if arguments.only:
        comparison = comparison.only(arguments.only)
    path = arguments.output or default_output(arguments.comparison)
    rows = compare(comparison, path, resume=arguments.resume, progress=Progress(arguments.quiet))
    found = {"comparison": str(path), "rows": [row.as_dict() for row in rows]}
    show(arguments, found, f"{table(rows)}\nreport: {path / 'comparison.html'}")


def train(arguments: Any) -> None:
    from unfeature.progress import Progress
    from unfeature.train import train_original
    from unfeature.train_judge import train_judge
    from unfeature.train_oracle import train_oracle

    made = {"original": train_original, "judge": train_judge, "oracle": train_oracle}
    found = made[arguments.kind](arguments, Progress(arguments.quiet))
    rows = found.get("attributes", {}).items()
    lines = [f"{key}: {value}" for key, value in found.items() if key != "attributes"]
    lines += [
        f"  {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items())
        for name, row in rows
    ]
    show(arguments, found, "\n".join(lines))


def show(arguments: Any, found: dict[str, Any], text: str) -> None:
    print(as_json(found) if arguments.json else text)


def as_json(values: Any) -> str:
    """JSON, which has no infinity and no NaN: null stands for them."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(values), ensure_ascii=False, allow_nan=False)
