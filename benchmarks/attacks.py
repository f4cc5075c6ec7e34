"""The attack tables: original, the paper's method, ours and ours robust under the same attacks.

    python -m benchmarks.paper mnist_mlp_gan_thick            # first train them, once
    python -m benchmarks.attacks mnist_mlp_gan_thick
    python -m benchmarks.attacks mnist_mlp_gan_thick --tables # only the table, of what has run

Attacks the runs that the comparison left in runs/paper/NAME/METHOD/seed-0/run, each once, and fills
docs/results.md between `<!-- attacks NAME -->` and `<!-- end -->`. `--set attack.n=500` and the
like change the budget. The original is attacked in the latent space of each run, once in each.
"""

import argparse
import math
from pathlib import Path
from typing import Any

from benchmarks.paper import RESULTS, filled
from unfeature.adapters.files import read_json
from unfeature.attacking import attack_run
from unfeature.config import AttackTable
from unfeature.folder import RunFolder
from unfeature.place import Place
from unfeature.progress import Progress
from unfeature.report.words import spanned
from unfeature.settings import read_experiment

METHODS = ("paper", "ours", "robust")
BUDGET = {"norm", "steps", "restarts", "loss", "confidence", "n"}
"""Settings that every row of a table must have in common, beside the radii."""
ANY = "any of these"
"""What `attack.json` calls the attacks together."""


def main() -> None:
    arguments = options(__doc__)
    for name in arguments.names:
        rows: dict[str, dict[str, Any]] = {}
        require_one_budget(arguments, name)
        for method in arguments.methods:
            run = RunFolder.open(Place(arguments.output / name).method(method, 0) / "run")
            asked = read_experiment(run.settings, arguments.set)
            space = asked.generator.latent_space or "z"
            if not arguments.tables and not run.attack.exists():
                run.write_settings(asked)
                known = _others(rows, space)
                attack_run(run, Progress(), oracle=arguments.oracle, known=known)
            if run.attack.exists():
                found = read_json(run.attack)["generators"]
                rows[f"original ({space})"] = found["original"]
                rows[method] = found["unlearned"]
                rows |= {f"oracle ({space})": found["oracle"]} if "oracle" in found else {}
        table = as_table(rows)
        RESULTS.write_text(filled(RESULTS.read_text(), f"attacks {name}", table))
        print(f"{name}\n{table}", flush=True)


def options(doc: str | None) -> argparse.Namespace:
    """Which runs are attacked, and with what budget; `weights` has the same options."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("names", nargs="+", metavar="NAME", help="of comparisons that have run")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("--oracle", type=Path)
    parser.add_argument("--set", action="append", default=[], help="attack.key=value")
    parser.add_argument("--tables", action="store_true")
    return parser.parse_args()


def require_one_budget(arguments: argparse.Namespace, name: str) -> None:
    """End where a method was attacked otherwise than is asked for, or than another was: before any
    is attacked."""
    first: dict[str, Any] | None = None
    for method in arguments.methods:
        run = RunFolder.open(Place(arguments.output / name).method(method, 0) / "run")
        asked = budget_of(read_experiment(run.settings, arguments.set).attack)
        made = asked
        if run.attack.exists():
            attack = read_json(run.attack)
            made = made_with(attack) | {"attacker": attack["attacker"]}
        for other in (asked, first or {}):
            if changed := [key for key in made if other.get(key, made[key]) != made[key]]:
                raise SystemExit(
                    f"{run.attack}: another budget than is asked for, or than another method's "
                    f"({', '.join(changed)}); give the same, or delete it to attack anew"
                )
        first = first or made


def budget_of(table: AttackTable) -> dict[str, Any]:
    """What must be the same for every row, as the settings have it."""
    return {**table.model_dump(include=BUDGET), "epsilons": list(table.epsilons)}


def made_with(attack: dict[str, Any]) -> dict[str, Any]:
    """The same of an `attack.json`."""
    points = attack["generators"]["unlearned"]["gradient"]
    radii = [math.inf if point["epsilon"] is None else point["epsilon"] for point in points]
    return {
        **{key: attack["budget"][key] for key in BUDGET & set(attack["budget"])},
        "epsilons": radii,
    }


def _others(rows: dict[str, dict[str, Any]], space: str) -> dict[str, Any]:
    """What was found of the generators that every method's run has in common."""
    names = {"original": f"original ({space})", "oracle": f"oracle ({space})"}
    return {name: rows[row] for name, row in names.items() if row in rows}


def as_table(rows: dict[str, dict[str, Any]]) -> str:
    """Judged success of the gradient attack at every radius (naive), that of any attack at every
    radius, where all rows have it, what a closer look sees of the gradient's, where there is one,
    and judged success of the other attacks at the largest; all with their intervals."""
    points = next(iter(rows.values()))["gradient"]
    radii = ["∞" if point["epsilon"] is None else f"{point['epsilon']:g}" for point in points]
    known = ("random", "along z_e", "along z_e found anew", "from f's answers")
    others = [name for name in known if all(name in row for row in rows.values())]
    closely = all("rests" in row["gradient"][-1] for row in rows.values())
    together = all(ANY in row for row in rows.values())
    heads = ["generator", *(f"gradient, ε = {r}" for r in radii)]
    heads += [f"any, ε = {r}" for r in radii if together]
    heads += [f"a rest, ε = {r}" for r in radii if closely]
    heads += [*others, "FID", "IS"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, attacks in rows.items():
        cells = [
            f"{spanned(point['judged'], '.1%')} ({point['naive']['value']:.1%})"
            for point in attacks["gradient"]
        ]
        cells += [spanned(point["judged"], ".1%") for point in attacks.get(ANY, []) if together]
        cells += [spanned(point["rests"], ".1%") for point in attacks["gradient"] if closely]
        cells += [spanned(attacks[other][-1]["judged"], ".1%") for other in others]
        last = attacks["gradient"][-1]
        cells += [f"{last[key]:.2f}" if key in last else "–" for key in ("fid", "is")]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
