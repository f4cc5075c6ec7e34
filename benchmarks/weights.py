"""Attacks on the weights: inversion and relearning, after the comparison of that name.

    python -m benchmarks.weights digits_vae_thick --oracle runs/oracle-vae-thick-1
    python -m benchmarks.weights digits_vae_thick --tables

Looks pictures of the original with the feature up in the latents of every generator, and teaches
each the feature again from 0, 10 and 100 of them; fills docs/results.md between
`<!-- weights NAME -->` and `<!-- end -->`. What has run is kept in weights.json beside the run.
"""

from typing import Any

from benchmarks.attacks import options
from benchmarks.paper import RESULTS, filled
from unfeature.adapters.files import read_json, write_json
from unfeature.attacking import attack_weights
from unfeature.folder import RunFolder
from unfeature.place import Place
from unfeature.progress import Progress
from unfeature.report.words import interval, spanned
from unfeature.settings import read_experiment

BUDGET = ("attack.inversions=100", "attack.relearn=[0,10,100]")


def main() -> None:
    arguments = options(__doc__)
    for name in arguments.names:
        rows: dict[str, dict[str, Any]] = {}
        for method in arguments.methods:
            folder = Place(arguments.output / name).method(method, 0)
            run, found = RunFolder.open(folder / "run"), folder / "weights.json"
            if not arguments.tables and not found.exists():
                run.write_settings(read_experiment(run.settings, [*BUDGET, *arguments.set]))
                write_json(found, attack_weights(run, Progress(), oracle=arguments.oracle))
            if found.exists():
                rows |= by_generator(method, read_json(found))
        table = as_table(rows)
        RESULTS.write_text(filled(RESULTS.read_text(), f"weights {name}", table))
        print(f"{name}\n{table}", flush=True)


def by_generator(method: str, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was found of each generator, the unlearned one by its method's name."""
    rows = {}
    for name, inversion in found["inversion"].items():
        lessons = found["relearning"].get(name, [])
        row = {"inversion": inversion, "relearning": lessons}
        rows[method if name == "unlearned" else name] = row
    return rows


def as_table(rows: dict[str, dict[str, Any]]) -> str:
    """Pictures looked up: the L1 to them, the share that shows the feature, the latents'
    log-density; then, for each number of pictures taught, the share that shows the feature before →
    after all updates, and the updates until half of the original's share was back."""
    lessons = max((row["relearning"] for row in rows.values()), key=len)
    heads = ["generator", "inversion: L1", "feature back", "log-density"]
    heads += [f"relearning from {lesson['pictures']}" for lesson in lessons]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, row in rows.items():
        found = row["inversion"]
        likely = "–" if found["likely"] is None else f"{found['likely']['value']:.2f}"
        cells = [name, f"{found['l1']['value']:.4f}", spanned(found["back"], ".0%"), likely]
        cells += [_course(lesson) for lesson in row["relearning"]] or ["–"] * len(lessons)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _course(lesson: dict[str, Any]) -> str:
    half = "never half" if lesson["half"] is None else f"half after {lesson['half']}"
    first, last = interval(lesson["ratios"][0]), interval(lesson["ratios"][-1])
    return f"{first['value']:.1%} → {spanned(last, '.1%')}, {half}"


if __name__ == "__main__":
    main()
