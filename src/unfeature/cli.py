"""The command line: thin, one command a stage."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from unfeature import commands as do
from unfeature.errors import UserError

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
    "compare": "unfeature compare experiments/avatars_vae_glasses.toml -o runs/glasses",
    "train": "unfeature train original --data mnist/ -o models/digits",
    "train original": "unfeature train original --architecture dcgan --data mnist/ -o models/gan",
    "train judge": "unfeature train judge --architecture resnet --data avatars -o models/judge",
    "train oracle": "unfeature train oracle runs/demo --data avatars -o models/oracle",
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
        print(
            "stopped; the same command again goes on, with --resume where it has one",
            file=sys.stderr,
        )
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

    demo = _command(commands, "demo", "take the glasses off the shipped VAE's faces", do.demo)
    demo.add_argument(
        "name", nargs="?", default="faces", help="faces or digits (default: %(default)s)"
    )
    _add_output(demo, "runs/demo")
    _add_run_options(demo)

    run = _command(commands, "run", "the whole path for one experiment", do.run)
    run.add_argument("experiment", type=Path, help="an experiment.toml")
    _add_output(run, None)
    _add_run_options(run)
    run.add_argument("--dry-run", action="store_true", help="print the resolved settings and stop")

    sample = _command(commands, "sample", "start a run: draw the latents to label", do.sample)
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
    attack = _command(commands, "attack", "can an attacker bring the feature back?", do.attack)
    attack.add_argument("run", type=Path, help="a run's folder, unlearned")
    attack.add_argument("--oracle", type=Path, help="a generator that never saw the feature")
    attack.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="another generator of the same latents, e.g. what a method of a comparison made",
    )
    attack.add_argument(
        "--allow-same-judge",
        action="store_true",
        help="let the attacked classifier judge; the report says so",
    )
    _add_set(attack)
    _stage(commands, "report", "write report.html")
    comparison = _command(commands, "compare", "several methods on one experiment", do.compare)
    comparison.add_argument("comparison", type=Path, help="a comparison's TOML file")
    _add_output(comparison, None)
    comparison.add_argument(
        "--only", nargs="+", metavar="METHOD", help="these of its methods, ours among them"
    )
    _add_run_options(comparison)
    _add_train(commands)
    return parser


def _command(commands: Any, name: str, about: str, action: Callable[[Any], int | None]) -> Parser:
    command: Parser = commands.add_parser(name.split()[-1], help=about, description=about)
    command.example = EXAMPLES[name]
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout, only that")
    command.add_argument("--quiet", action="store_true", help="no progress on stderr")
    command.set_defaults(command=action)
    return command


def _stage(commands: Any, name: str, about: str) -> Parser:
    command = _command(commands, name, about, do.one_stage)
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
    original = _command(kinds, "train original", "train a generator from images", do.train)
    original.add_argument("--architecture", default="dcgan", choices=ORIGINALS)
    original.add_argument("--latent-dim", type=int, help="size of a latent")
    original.add_argument("--width", type=int, help="channels of the layer nearest to the picture")
    original.add_argument(
        "--average", type=float, help="decay of the weights' moving average, which is saved"
    )
    original.add_argument("--beta", type=float, help="weight of a VAE's KL term")
    original.add_argument(
        "--judge",
        help="a judge of such pictures, whose features stylegan2's second discriminator sees, and "
        "in which residual-vae compares pictures; both save many images",
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
    judge = _command(kinds, "train judge", "train a classifier from labelled images", do.train)
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
    judge.add_argument(
        "--faint",
        metavar="ATTRIBUTE",
        help="of avatars: half as many again with a rest of it, which counts as having it, and a "
        "quarter as many without it",
    )
    judge.add_argument(
        "--start", help="begin with a trained judge's weights: a shipped name or a folder"
    )
    judge.add_argument(
        "--generated",
        action="append",
        default=[],
        metavar="GENERATOR",
        help="with --faint and --start: and a quarter as many pictures of a generator, which the "
        "judge to start with labels where it is sure",
    )
    oracle = _command(
        kinds, "train oracle", "an original's twin that never saw the feature", do.train
    )
    oracle.add_argument("run", type=Path, help="a run, whose original and judge are taken")
    oracle.add_argument("--epochs", type=int, help="instead of the original's")
    oracle.add_argument("--seed", type=int, help="instead of the original's: another oracle")
    for kind, command in (("original", original), ("judge", judge), ("oracle", oracle)):
        command.set_defaults(kind=kind)
        command.add_argument("--data", type=Path, required=True, help=DATA_HELP[kind])
        command.add_argument(
            "--n",
            type=int,
            help="so many pictures (default: all, or 40,000 avatars"
            f"{' or pictures with attributes' if kind == 'judge' else ''})",
        )
        command.add_argument(
            "--table", type=Path, help="of avatars: how their attributes are correlated, in TOML"
        )
        command.add_argument("--size", type=int, help="resize pictures to this height and width")
        command.add_argument("--device", default="cpu", help="where to train, e.g. cuda")
        command.add_argument("-o", "--output", type=Path, required=True, help="where to save")
        command.add_argument("--resume", action="store_true", help="go on from the checkpoint")
        if kind != "oracle":
            command.add_argument("--epochs", type=int, default=20 if kind == "original" else None)
            command.add_argument("--batch-size", type=int, default=64)
            command.add_argument("--learning-rate", type=float)
            command.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    sys.exit(main())
