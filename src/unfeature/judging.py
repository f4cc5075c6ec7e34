"""The last stages of a run: the verdict on fresh latents, and the report."""

import time
from dataclasses import asdict
from typing import Any

from unfeature.adapters.files import (
    atomic,
    load_tensors,
    read_json,
    read_record,
    save_tensors,
    write_json,
)
from unfeature.adapters.sources import load_both
from unfeature.diagnostics import Diagnosis
from unfeature.evaluate import Verdict, draw_pairs
from unfeature.evaluate.criteria import decide
from unfeature.evaluate.verdict import Pairs, clean_pictures, verdict
from unfeature.examination import choose_extractor, examine
from unfeature.folder import RunFolder, versions
from unfeature.labels import LatentSet, sample_seeds
from unfeature.learning import current_eraser
from unfeature.panel import load_panel
from unfeature.progress import Progress
from unfeature.report import ReportData, render, shown
from unfeature.report.words import ENCODER
from unfeature.target import TargetVector


def evaluate_stage(run: RunFolder, progress: Progress) -> Verdict:
    """Judge original, erased ideal and unlearned on fresh latents."""
    run.require("unlearn")
    began = time.perf_counter()
    experiment = run.experiment()
    original, unlearned = load_both(experiment.generator, run.unlearned)
    panel = load_panel(run.path / "panel")
    n = experiment.evaluate.n
    progress.say(f"evaluating on {n} fresh latents; judge: {panel.judge.name}")
    seed = experiment.seed
    pairs = draw_pairs(
        original,
        unlearned,
        current_eraser(run, experiment, original),
        panel.judge,
        sample_seeds(n, seed, "evaluate"),
    )
    features = choose_extractor(experiment, original)
    reference = clean_pictures(original, panel.judge, n, seed=seed) if features else None
    found = verdict(
        pairs, judge=panel.judge.name, extractor=features, reference=reference, seed=seed
    )
    calibration = experiment.calibration_seed
    examination = examine(run, experiment.evaluate, pairs, original, unlearned, seed=calibration)
    criteria = decide(experiment.verdict.model_dump(), figures(found, examination))
    write_json(run.criteria, [asdict(criterion) for criterion in criteria])
    rows = shown(pairs, experiment.evaluate.grid)
    save_tensors(run.path / "pairs.safetensors", vars(pairs[rows]))
    write_json(run.verdict, found.as_dict())
    run.finish("evaluate", began)
    return found


def figures(
    found: Verdict, examination: dict[str, Any]
) -> dict[str, tuple[float, float, float, int]]:
    """What `[verdict]` can set a limit to: value, low, high, number of pictures.

    Args:
        examination: what `examine` found.
    """
    left, l1 = found.unlearned, found.negatives_l1
    rows = {
        "target_ratio": (left.value, left.low, left.high, left.n),
        "negatives_l1": (l1.value, l1.low, l1.high, l1.n),
    }
    for name, key in (("changed", "never had it"), ("changed_having", "had it")):
        if key in examination.get("collateral", {}):
            rows[name] = _with_interval(examination["collateral"][key]["changed"])
    if "had it" in examination.get("rests", {}):
        rows["rests"] = _with_interval(examination["rests"]["had it"]["after"])
    if "unlearned" in found.quality:
        made = found.quality["unlearned"]
        assert made.fid_error is not None  # it was measured just now
        spread = 1.96 * made.fid_error
        rows["fid"] = (made.fid, made.fid - spread, made.fid + spread, left.n)
    return rows


def _with_interval(row: dict[str, Any]) -> tuple[float, float, float, int]:
    return row["value"], row["low"], row["high"], row["n"]


def report_stage(run: RunFolder, progress: Progress) -> None:
    """Write `report.html`."""
    run.require("evaluate")
    began = time.perf_counter()
    experiment = run.experiment()
    original, unlearned = load_both(experiment.generator, run.unlearned)
    eraser = current_eraser(run, experiment, original)
    examination = read_json(run.path / "examination.json")
    perfect = run.path / "counterfactual.png" if "counterfactual" in examination else None
    labels = LatentSet.load(run.labels)
    by_person = experiment.label.by == "sheet"
    page = render(
        ReportData(
            feature=experiment.feature,
            verdict=read_record(run.verdict, Verdict.from_dict),
            diagnosis=read_record(run.path / "diagnosis.json", Diagnosis.from_dict),
            labels=labels,
            labelled=None if by_person else (labels.scores > 0).double().mean().item(),
            target=TargetVector.load(run.target),
            threshold=getattr(eraser, "threshold", None),
            eraser=eraser.name,
            labeling=load_panel(run.path / "panel").notes,
            pairs=Pairs(**load_tensors(run.path / "pairs.safetensors")),
            examination=examination,
            perfect=perfect.read_bytes() if perfect is not None else None,
            human=read_json(run.human) if run.human.exists() else None,
            attack=read_json(run.attack) if run.attack.exists() else None,
            criteria=run.read_criteria(),
            history=run.read_history(),
            facts={
                "seed": str(experiment.seed),
                "original": f"{original.spec.architecture}, weights {original.fingerprint}",
                "unlearned": f"weights {unlearned.fingerprint}",
                **({"encoder": ENCODER[experiment.encoder.then]} if experiment.encoder else {}),
                "seconds": ", ".join(f"{k} {v:.0f}" for k, v in run.seconds().items()),
                **versions(),
            },
            settings=run.settings.read_text(),
            command=f"unfeature run {run.settings} -o {run.path}-again",
            columns=experiment.evaluate.grid,
        )
    )
    with atomic(run.report) as temporary:
        temporary.write_text(page)
    run.finish("report", began)
