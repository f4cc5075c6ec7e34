"""The command line: thin, one command a stage."""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from unfeature.errors import UserError, did_you_mean

EXAMPLES = {
    "": "unfeature demo",
    "demo": "unfeature demo -o runs/demo",
    "run": "unfeature run examples/mnist_vae/experiment.toml -o runs/vae --set unlearn.steps=500",
    "sample": "unfeature sample examples/mnist_vae/experiment.toml -o runs/vae",
    "label": "unfeature label runs/vae --by sheet --answers my_answers.txt",
    "target": "unfeature target runs/vae --set target.method=logistic",
    "unlearn": "unfeature unlearn runs/vae --resume",
    "evaluate": "unfeature evaluate runs/vae --json",
    "attack": "unfeature attack runs/vae --set attack.relearn='[0, 10, 100]'",
    "report": "unfeature report runs/vae",
    "compare": "unfeature compare experiments/mnist_mlp_gan_thick.toml -o runs/thick",
    "train": "unfeature train original --data mnist/ -o models/digits",
    "train original": "unfeature train original --architecture dcgan --data mnist/ -o models/gan",
    "train judge": "unfeature train judge --architecture resnet --data avatars -o models/judge",
    "train oracle": "unfeature train oracle runs/demo --data mnist/ -o models/oracle",
}

ORIGINALS = ("dcgan", "conv-vae", "residual-vae", "stylegan2")
"""What `train original` can train (see `unfeature.training.originals`, which needs torch)."""
DATA_HELP = {
    "original": "IDX folder, .npz, pictures, or the word 'avatars'",
    "judge": "IDX folder, .npz, a folder of pictures a class, pictures with attributes.csv or "
    "list_attr_celeba.txt, or the word 'avatars'",
    "oracle": "IDX folder, .npz, pictures, or the word 'avatars'",
}


class Parser(argparse.ArgumentParser):
    """Help that leads with an example, and errors in one line."""

    example = EXAMPLES[""]

    def format_help(self) -> str:
        return f"example: {self.example}\n\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see '{self.prog} --help'\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 only when the job is done, and the limits set for it, if any, are kept."""
    arguments = build_parser().parse_args(argv)
    try:
        status: int | None = arguments.command(arguments)
    except KeyboardInterrupt:
        print("stopped; go on with --resume", file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status or 0


def build_parser() -> Parser:
    parser = Parser(
        prog="unfeature",
        description="Make a pre-trained image generator stop producing one visual feature.",
    )
    parser.add_argument("--version", action="version", version=f"unfeature {version('unfeature')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    demo = _command(commands, "demo", "take the glasses off the shipped avatars StyleGAN2", _demo)
    demo.add_argument(
        "name", nargs="?", default="faces", help="faces or digits (default: %(default)s)"
    )
    _add_output(demo, "runs/demo")
    _add_run_options(demo)

    run = _command(commands, "run", "the whole path for one experiment", _run)
    run.add_argument("experiment", type=Path, help="an experiment.toml")
    _add_output(run, None)
    _add_run_options(run)
    run.add_argument("--dry-run", action="store_true", help="print the resolved settings and stop")

    sample = _command(commands, "sample", "start a run: draw the latents to label", _sample)
    sample.add_argument("experiment", type=Path, help="an experiment.toml")
    _add_output(sample, None)
    _add_set(sample)

    label = _stage(commands, "label", "label the sampled pictures")
    label.add_argument("--by", choices=("function", "classifier", "sheet"), help="who labels")
    label.add_argument("--answers", help="for --by sheet: the filled-in text file")
    _stage(commands, "target", "find the direction, and say what it is worth")
    unlearn = _stage(commands, "unlearn", "fine-tune a copy without the feature")
    unlearn.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    evaluate = _stage(commands, "evaluate", "judge the result on fresh latents")
    evaluate.add_argument(
        "--human", action="store_true", help="write sheets of pairs for a person, or read them back"
    )
    evaluate.add_argument("--pairs", type=int, default=48, help="with --human: how many pairs")
    evaluate.add_argument("--answers", type=Path, help="with --human: the filled-in text file")
    attack = _command(commands, "attack", "can an attacker bring the feature back?", _attack)
    attack.add_argument("run", type=Path, help="a run's folder, unlearned")
    attack.add_argument("--oracle", type=Path, help="a generator that never saw the feature")
    attack.add_argument(
        "--allow-same-judge",
        action="store_true",
        help="let the attacked classifier judge; the report says so",
    )
    _add_set(attack)
    _stage(commands, "report", "write report.html")
    comparison = _command(commands, "compare", "several methods on one experiment", _compare)
    comparison.add_argument("comparison", type=Path, help="a comparison's TOML file")
    _add_output(comparison, None)
    comparison.add_argument(
        "--only", nargs="+", metavar="METHOD", help="these of its methods, ours among them"
    )
    _add_run_options(comparison)
    _add_train(commands)
    return parser


def _command(commands: Any, name: str, about: str, do: Callable[[Any], int | None]) -> Parser:
    command: Parser = commands.add_parser(name.split()[-1], help=about, description=about)
    command.example = EXAMPLES[name]
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout, only that")
    command.add_argument("--quiet", action="store_true", help="no progress on stderr")
    command.set_defaults(command=do)
    return command


def _stage(commands: Any, name: str, about: str) -> Parser:
    command = _command(commands, name, about, _one_stage)
    command.add_argument("run", type=Path, help="the run's folder, from 'unfeature sample'")
    command.set_defaults(stage=name)
    _add_set(command)
    return command


def _add_output(command: Parser, default: str | None) -> None:
    command.add_argument(
        "-o", "--output", type=Path, default=default, help="the run's folder (default: runs/NAME)"
    )


def _add_set(command: Parser) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, e.g. unlearn.steps=500; may be repeated",
    )


def _add_run_options(command: Parser) -> None:
    command.add_argument("--resume", action="store_true", help="go on where the run was stopped")
    _add_set(command)


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a model from a data set")
    train.example = EXAMPLES["train"]
    kinds = train.add_subparsers(metavar="KIND", required=True, parser_class=Parser)
    original = _command(kinds, "train original", "train a generator from images", _train)
    original.add_argument("--architecture", default="dcgan", choices=ORIGINALS)
    original.add_argument("--latent-dim", type=int, help="size of a latent")
    original.add_argument("--width", type=int, help="channels of the layer nearest to the picture")
    original.add_argument(
        "--average", type=float, help="decay of the weights' moving average, which is saved"
    )
    original.add_argument("--beta", type=float, help="weight of a VAE's KL term")
    original.add_argument(
        "--judge",
        help="for stylegan2 and residual-vae: a judge whose features a second discriminator "
        "sees, which saves many images",
    )
    original.add_argument(
        "--start",
        help="begin with a trained generator's weights: a shipped name or a folder",
    )
    original.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=NUMBER",
        help="another option of the architecture or its training, e.g. gamma=0.1",
    )
    judge = _command(kinds, "train judge", "train a classifier from labelled images", _train)
    judge.add_argument(
        "--architecture", default="lenet", choices=("lenet", "mobilenetv3", "resnet")
    )
    judge.add_argument(
        "--width",
        type=float,
        help="channels of the first layer; for mobilenetv3 the multiplier of them all",
    )
    judge.add_argument(
        "--split", choices=("a", "b"), help="train on one half; two judges then share no picture"
    )
    judge.add_argument(
        "--no-flip", action="store_true", help="where an attribute tells left from right"
    )
    oracle = _command(
        kinds, "train oracle", "an original's twin that never saw the feature", _train
    )
    oracle.add_argument("run", type=Path, help="a run, whose original and judge are taken")
    oracle.add_argument("--epochs", type=int, help="instead of the original's")
    oracle.add_argument("--seed", type=int, help="instead of the original's: another oracle")
    for kind, command in (("original", original), ("judge", judge), ("oracle", oracle)):
        command.set_defaults(kind=kind)
        command.add_argument("--data", type=Path, required=True, help=DATA_HELP[kind])
        command.add_argument(
            "--n", type=int, default=40_000, help="so many avatars, or pictures with attributes"
        )
        command.add_argument("--size", type=int, help="resize pictures to this height and width")
        command.add_argument("-o", "--output", type=Path, required=True, help="where to save")
        command.add_argument("--resume", action="store_true", help="go on from the checkpoint")
        if kind != "oracle":
            command.add_argument("--epochs", type=int, default=20 if kind == "original" else None)
            command.add_argument("--batch-size", type=int, default=64)
            command.add_argument("--learning-rate", type=float)
            command.add_argument("--seed", type=int, default=0)


def _demo(arguments: Any) -> int:
    demos = files("unfeature") / "demos"
    known = sorted(entry.name.removesuffix(".toml") for entry in demos.iterdir())
    if arguments.name not in known:
        raise UserError(
            f"there is no demo '{arguments.name}'{did_you_mean(arguments.name, known)}; "
            f"known: {', '.join(known)}"
        )
    arguments.experiment = Path(str(demos / f"{arguments.name}.toml"))
    arguments.dry_run = False
    return _run(arguments)


def _run(arguments: Any) -> int:
    from unfeature.progress import Progress
    from unfeature.run import run_experiment
    from unfeature.settings import read_experiment, to_toml
    from unfeature.texts import after

    experiment = read_experiment(arguments.experiment, arguments.set)
    if arguments.dry_run:
        settings = experiment.model_dump(mode="json")
        print(json.dumps(settings) if arguments.json else to_toml(experiment), end="")
        return 0
    path = arguments.output or _default_output(arguments.experiment)
    run = run_experiment(
        experiment, path, resume=arguments.resume, progress=Progress(arguments.quiet)
    )
    _print(arguments, *after(run, "report"))
    return _status(run)


def _status(run: Any) -> int:
    """0 where the limits in [verdict] are kept or there are none, 3 where one is broken, 4 where
    more samples are needed to tell."""
    from unfeature.evaluate.criteria import STATUS, overall

    outcome = overall(run.read_criteria())
    return STATUS[outcome] if outcome else 0


def _default_output(experiment: Path) -> Path:
    name = experiment.parent.name if experiment.stem == "experiment" else experiment.stem
    return Path("runs") / (name or "experiment")


def _sample(arguments: Any) -> None:
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.settings import read_experiment
    from unfeature.stages import sample_stage

    experiment = read_experiment(arguments.experiment, arguments.set)
    run = RunFolder.create(arguments.output or _default_output(arguments.experiment), experiment)
    sample_stage(run, Progress(arguments.quiet))
    found = {"run": str(run.path), "n": experiment.label.n}
    _print(arguments, found, f"next: unfeature label {run.path}")


def _one_stage(arguments: Any) -> int:
    from unfeature import stages, texts
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.settings import read_experiment

    run = RunFolder.open(arguments.run)
    if getattr(arguments, "human", False):
        return _human(arguments, run)
    if arguments.stage == "evaluate" and arguments.answers:
        raise UserError("--answers goes with --human")
    changes = list(arguments.set)
    for option in ("by", "answers"):
        if arguments.stage == "label" and getattr(arguments, option):
            changes.append(f"label.{option}={json.dumps(getattr(arguments, option))}")
    if changes:
        run.write_settings(read_experiment(run.settings, changes))
    resume = getattr(arguments, "resume", False)
    if not resume:
        run.reopen(arguments.stage)
    progress = Progress(arguments.quiet)
    if arguments.stage == "unlearn":
        stages.unlearn_stage(run, progress, resume=resume)
    else:
        getattr(stages, f"{arguments.stage}_stage")(run, progress)
    _print(arguments, *texts.after(run, arguments.stage))
    return _status(run) if arguments.stage == "evaluate" else 0


def _attack(arguments: Any) -> None:
    from unfeature.attacking import attack_run
    from unfeature.folder import RunFolder
    from unfeature.progress import Progress
    from unfeature.report.words import attack_table
    from unfeature.settings import read_experiment

    run = RunFolder.open(arguments.run)
    if arguments.set:
        for change in arguments.set:
            if not change.startswith("attack."):
                raise UserError(f"--set {change}: an attack changes only attack.key=value")
        run.write_settings(read_experiment(run.settings, arguments.set))
    found = attack_run(
        run,
        Progress(arguments.quiet),
        oracle=arguments.oracle,
        allow_same_judge=arguments.allow_same_judge,
    )
    text = f"{attack_table(found)}\nnext: unfeature report {run.path}"
    _print(arguments, {"run": str(run.path), **found}, text)


def _human(arguments: Any, run: Any) -> int:
    """Read the answers where a person gave some; else write the sheets."""
    from dataclasses import asdict

    from unfeature.human import read_human, write_human
    from unfeature.report.words import human_text

    if arguments.pairs < 2:
        raise UserError(f"--pairs is {arguments.pairs}; give 2 or more")
    if arguments.answers or answered(run.path / "human" / "answers.txt"):
        found = asdict(read_human(run, arguments.answers))
        _print(arguments, found, "\n".join(human_text(found)))
    else:
        path = write_human(run, arguments.pairs)
        text = f"pairs are in '{path.parent}': fill in '{path}', then the same command again"
        _print(arguments, {"answers": str(path)}, text)
    return 0


def answered(path: Path) -> bool:
    """Whether somebody wrote an answer into a sheet of pairs."""
    lines = path.read_text().splitlines() if path.exists() else []
    return any(
        line.partition(":")[0].isdigit() and line.partition(":")[2].strip() for line in lines
    )


def _compare(arguments: Any) -> None:
    from unfeature.compare import compare
    from unfeature.comparison import read_comparison
    from unfeature.progress import Progress
    from unfeature.report.comparison import table

    comparison = read_comparison(arguments.comparison, arguments.set)
    if arguments.only:
        comparison = comparison.only(arguments.only)
    path = arguments.output or _default_output(arguments.comparison)
    rows = compare(comparison, path, resume=arguments.resume, progress=Progress(arguments.quiet))
    found = {"comparison": str(path), "rows": [row.as_dict() for row in rows]}
    _print(arguments, found, f"{table(rows)}\nreport: {path / 'comparison.html'}")


def _train(arguments: Any) -> None:
    from unfeature.progress import Progress
    from unfeature.train import train_oracle, train_original
    from unfeature.train_judge import train_judge

    made = {"original": train_original, "judge": train_judge, "oracle": train_oracle}
    found = made[arguments.kind](arguments, Progress(arguments.quiet))
    rows = found.get("attributes", {}).items()
    lines = [f"{key}: {value}" for key, value in found.items() if key != "attributes"]
    lines += [
        f"  {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items())
        for name, row in rows
    ]
    _print(arguments, found, "\n".join(lines))


def _print(arguments: Any, found: dict[str, Any], text: str) -> None:
    print(json.dumps(found, ensure_ascii=False) if arguments.json else text)


if __name__ == "__main__":
    sys.exit(main())
