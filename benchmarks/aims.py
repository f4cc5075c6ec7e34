"""Robust unlearning against its aims, out of what comparisons and attacks have left.

    python -m benchmarks.aims                # every comparison that was attacked
    python -m benchmarks.aims digits_vae_thick

Against the paper's version: at most half its judged success at every radius up to 2, no more of the
feature left, at most half its L1 on pictures that never had it; against the oracle, where there is
one: at most 1.5 times its success. Measures nothing; fills docs/results.md between its marks,
`<!-- attack aims -->` and `<!-- end -->`; rows of comparisons that are not in the folder stay.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.paper import RESULTS, filled, rows_between
from unfeature.adapters.files import read_json
from unfeature.folder import RunFolder
from unfeature.place import Place

LARGEST = 2.0
PAPERS = {"paper": "", "paper, in rounds": " (paper in rounds)"}
"""The paper's method in a comparison, and what is said of it in the table."""
HEADS = ("comparison", "judged success, ε: robust / paper", "left", "L1", "robust / oracle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of comparisons; all by default")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/paper"))
    arguments = parser.parse_args()
    text = RESULTS.read_text()
    lines = written(text)
    for name in arguments.names or sorted(path.name for path in arguments.output.iterdir()):
        place = Place(arguments.output / name)
        for method, note in PAPERS.items():
            cells = compared(place, method, "robust")
            if cells is not None:
                lines[name + note] = "| " + " | ".join([name + note, *cells]) + " |"
    heads = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    table = "\n".join([*heads, *(lines[name] for name in sorted(lines))]) + "\n"
    RESULTS.write_text(filled(text, "attack aims", table))
    print(table)


def compared(place: Place, *methods: str) -> list[str] | None:
    """The cells for the paper's method and robust, or None where one was not attacked."""
    attacks = [RunFolder(place.method(m, 0) / "run").attack for m in methods]
    if not all(path.exists() for path in attacks):
        return None
    paper, robust = (read_json(path)["generators"] for path in attacks)
    measured = [read_json(place.method(m, 0) / "measured.json") for m in methods]
    return row(paper, robust, *measured)


def written(text: str) -> dict[str, str]:
    """The rows that the document has, by the comparison's name, which is their first word, and
    which of the paper's versions it is held against."""
    rows = [line for line in rows_between(text, "attack aims") if " --- " not in line]
    notes = [next((n for n in PAPERS.values() if n and n in row), "") for row in rows[1:]]
    return {row.split()[1] + note: row for row, note in zip(rows[1:], notes, strict=True)}


def row(
    paper: dict[str, Any],
    robust: dict[str, Any],
    paper_measured: dict[str, Any],
    robust_measured: dict[str, Any],
) -> list[str]:
    """One comparison: each figure of "robust" beside the other's, and whether the aim is met."""
    ours, theirs = successes(robust["unlearned"]), successes(paper["unlearned"])
    radii = sorted(set(ours) & set(theirs))
    left, most = (m["target"]["value"] for m in (robust_measured, paper_measured))
    near, far = (m["l1"]["value"] for m in (robust_measured, paper_measured))
    cells = [
        beside(ours, theirs, radii, 0.5),
        f"{left:.2%} / {most:.2%}{met(left <= most)}",
        f"{near:.4f} / {far:.4f}, {near / far:.0%}{met(near <= far / 2)}",
    ]
    oracle = successes((robust if "oracle" in robust else paper).get("oracle", {"gradient": []}))
    known = [radius for radius in radii if radius in oracle]
    return [*cells, beside(ours, oracle, known, 1.5) if known else "–"]


def successes(attacks: dict[str, Any]) -> dict[float, float]:
    """Judged success of the gradient attack by radius, up to the largest that counts."""
    return {
        point["epsilon"]: point["judged"]["value"]
        for point in attacks["gradient"]
        if point["epsilon"] is not None and 0 < point["epsilon"] <= LARGEST
    }


def beside(
    ours: dict[float, float], theirs: dict[float, float], radii: list[float], most: float
) -> str:
    """Both figures at every radius; at most so many times the other's meets the aim."""
    return "; ".join(
        f"{radius:g}: {ours[radius]:.1%} / {theirs[radius]:.1%}"
        + met(ours[radius] <= most * theirs[radius])
        for radius in radii
    )


def met(condition: bool) -> str:
    return "" if condition else " **missed**"


if __name__ == "__main__":
    main()
