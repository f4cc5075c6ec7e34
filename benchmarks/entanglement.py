"""What else goes when a feature goes: the paper's version and each cure, on the shipped avatars.

    python -m benchmarks.entanglement glasses avatars-stylegan2 -o runs/entanglement
    python -m benchmarks.entanglement bangs avatars-vae -o runs/entanglement --variants paper layers

One run a variant, all from the same latents, labels and number of steps; a run that is there is
not made again. The columns: what is left of the feature; how many of the other attributes changed
in pictures that had it and in pictures that never had it; what became of "old" in those that had
it (share before → after, and in how many it changed); mean L1 to the counterfactual, and how many
other attributes differ from it (before → after); FID, in the referee's features, to fresh avatars
without the feature.
"""

import argparse
from pathlib import Path
from typing import Any

from unfeature import avatars, draw, extractor, load, read_experiment, run_experiment
from unfeature.adapters.files import read_json
from unfeature.adapters.pretrained import load_generator
from unfeature.avatars import LIFE
from unfeature.evaluate.quality import fid
from unfeature.folder import RunFolder
from unfeature.labels import sample_seeds
from unfeature.progress import Progress
from unfeature.report.words import spanned

FRESH = 70_000_000
PROTECT = "target.protect=['old', 'male', 'grey_hair', 'smile']"
WHOLE = ["erase.confine=0", "unlearn.tether=0", "unlearn.final_rate=0.02"]
BEFORE = [*WHOLE, "label.threshold=-3", "unlearn.gone=0", "unlearn.learning_rate=2e-3"]
OLD = [
    *BEFORE,
    *("erase.layers=false", "erase.sharpen=0"),
    *("erase.refine=12", "erase.stride=1", "erase.margin=0.8"),
    *("unlearn.keep=0", "unlearn.alpha=3", "unlearn.pool=16", "unlearn.reuse=8"),
]
LAYERS = [
    *BEFORE,
    *("erase.layers=true", "erase.sharpen=0"),
    *("erase.refine=40", "erase.stride=3", "erase.margin=1.2"),
    *("unlearn.keep=0.01", "unlearn.alpha=5", "unlearn.pool=24", "unlearn.reuse=30"),
]
PAPER = [*OLD, "erase.gate=paper"]
VARIANTS = {
    "paper": [*PAPER, "generator.latent_space=z"],
    "paper, protected": [*PAPER, "generator.latent_space=z", PROTECT],
    "paper in w": [*PAPER, "generator.latent_space=w"],
    "paper in w, protected": [*PAPER, "generator.latent_space=w", PROTECT],
    "line": [*OLD, "erase.path=line", "erase.keep=[]"],
    "line, protected": [*OLD, "erase.path=line", "erase.keep=[]", PROTECT],
    "descent": [*OLD, "erase.path=descent", "erase.descents=40"],
    "donors, none kept": [*OLD, "erase.keep=[]"],
    "donors": OLD,
    "layers": LAYERS,
    "layers, sharpened": [*LAYERS, "erase.margin=0.8", "erase.sharpen=2"],
    "asked": [*WHOLE, "unlearn.keep=0.01"],  # with unlearn.gone=0.05 (bangs: 0.08, by --set)
    "confined": [],
    "rests minded": [],
}
"""By name, the settings that differ from `examples/avatars/FEATURE.toml` and from `USUAL`."""
USUAL = {
    "glasses": [
        *("label.classifier=avatars-judge", "label.threshold=-3", "erase.margin=0.6"),
        *("unlearn.gone=0.3", "unlearn.final_rate=0.02"),
    ],
    "bangs": [],
}
"""Of every variant but the last: who labelled before there was a judge that minds rests."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("feature", choices=("glasses", "bangs"))
    parser.add_argument("generator")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/entanglement"))
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--set", action="append", default=[], help="for every variant")
    arguments = parser.parse_args()
    features = extractor("avatars-referee")
    bare = LIFE.fixed(**{arguments.feature: False})
    wanted, _ = features(avatars.dataset(5000, start=FRESH, table=bare).images)
    heads = ("variant", "left", "changed: had it", "never had it", '"old", had it')
    heads = (*heads, "L1 to the counterfactual", "attributes that differ from it", "FID")
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for name in arguments.variants:
        run = _run(name, arguments)
        found = {**read_json(run.verdict), **read_json(run.path / "examination.json")}
        unlearned = load_generator(run.unlearned)
        seeds = sample_seeds(5000, 0, "entanglement").tolist()
        drawn, _ = features(draw(unlearned, unlearned.latents_from_seeds(seeds)))
        print(_row(name, found, fid(drawn, wanted)), flush=True)


def _run(name: str, arguments: Any) -> RunFolder:
    """The finished run of a variant."""
    usual = USUAL[arguments.feature] if name != "rests minded" else []
    settings = [f"generator.source={arguments.generator}", *usual, *VARIANTS[name], *arguments.set]
    if load(arguments.generator).spec.architecture != "stylegan2":
        settings += ["generator.latent_space=z", "erase.layers=false"]  # it has no w
    experiment = read_experiment(Path(f"examples/avatars/{arguments.feature}.toml"), settings)
    slug = name.replace(", ", "-").replace(" ", "-")
    path = arguments.output / f"{arguments.generator}-{arguments.feature}-{slug}"
    return run_experiment(experiment, path, resume=True, progress=Progress(quiet=False))


def _row(name: str, found: dict[str, Any], distance: float) -> str:
    left, changes = found["unlearned"], found["collateral"]
    had, never = (changes[key]["changed"]["value"] for key in ("had it", "never had it"))
    old = changes["had it"]["changes"]["old"]
    counterfactual = found["counterfactual"]
    before, after = (counterfactual["differing"][key]["value"] for key in ("before", "after"))
    return (
        f"| {name} | {spanned(left, '.2%')} "
        f"| {had:.2f} | {never:.2f} of {changes['had it']['attributes']} "
        f"| {old['before']:.1%} → {old['after']:.1%}, {old['share']['value']:.1%} "
        f"| {counterfactual['unchanged']:.3f} → {counterfactual['reached']:.3f} "
        f"(nearer in {counterfactual['nearer']} of {counterfactual['n']}) "
        f"| {before:.2f} → {after:.2f} | {distance:.2f} |"
    )


if __name__ == "__main__":
    main()
