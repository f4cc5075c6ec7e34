"""The stages of a run: each reads what the one before it wrote and writes what the next one reads.

All reading and writing between stages happens here and in `unfeature.folder`.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.files import (
    atomic,
    load_checkpoint,
    load_tensors,
    read_json,
    save_checkpoint,
    save_tensors,
    write_json,
)
from unfeature.adapters.pretrained import load_generator, save_generator
from unfeature.adapters.sources import Calibration, load_judge, load_labeler, load_source
from unfeature.attack.encoder import adapted
from unfeature.config import EncoderConfig, Experiment
from unfeature.diagnostics import Diagnosis, diagnose
from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.evaluate import Verdict, draw_pairs, extractor, judged
from unfeature.evaluate.criteria import decide
from unfeature.evaluate.features import Extractor
from unfeature.evaluate.quality import fid_spread
from unfeature.evaluate.verdict import Pairs, clean_pictures, verdict
from unfeature.examination import examine, load_examiner
from unfeature.folder import RunFolder, versions
from unfeature.generator import Generator, draw
from unfeature.labelers.classifier import keeping
from unfeature.labelers.sheet import read_answers, sheets_identity, write_sheets
from unfeature.labels import LatentSet, label, sample_seeds
from unfeature.panel import Panel, load_panel, make_panel, save_panel
from unfeature.pictures import grid, png
from unfeature.progress import Progress
from unfeature.report import ReportData, render, shown
from unfeature.rounds import first_fit, make_eraser, unlearn_in_rounds
from unfeature.target import TargetVector
from unfeature.unlearn import Check


def sample_stage(run: RunFolder, progress: Progress) -> None:
    """Draw the latents to be labelled, and a page of their pictures."""
    began = time.perf_counter()
    experiment = run.experiment()
    load_examiner(experiment.evaluate)  # what is misnamed there is said now, not after training
    if experiment.erase.keep:
        keeping(
            load_judge(experiment.label.classifier, target=experiment.label.target),
            experiment.erase.keep,
        )
    original = load_source(experiment.generator)
    seeds = sample_seeds(experiment.label.n, experiment.seed, "label")
    latents = original.latents_from_seeds(seeds.tolist())
    save_tensors(run.path / "samples.safetensors", {"seeds": seeds, "latents": latents})
    page = grid(draw(original, latents[:100]), 10)
    with atomic(run.path / "samples.png") as temporary:
        temporary.write_bytes(png(page, zoom=2))
    progress.say(f"sampled {len(seeds)} latents; a first look: {run.path / 'samples.png'}")
    run.finish("sample", began)


def label_stage(run: RunFolder, progress: Progress) -> LatentSet:
    """Label the sampled latents' pictures, and choose who opens the gate and who judges.

    Raises:
        UserError: a person is to label and has not yet; the message says what to do.
    """
    run.require("sample")
    began = time.perf_counter()
    experiment = run.experiment()
    original = load_source(experiment.generator)
    calibration = Calibration(original, seed=experiment.seed)
    seeds = load_tensors(run.path / "samples.safetensors")["seeds"]
    if experiment.label.by == "sheet":
        gate = None
        labels = _label_by_person(run, experiment, original, seeds)
    else:
        gate = load_labeler(experiment.label, calibration)
        labels = label(
            original,
            seeds=seeds,
            by=gate,
            feature=experiment.feature,
            unsure=experiment.label.unsure,
        )
    labels.require_both().save(run.labels)
    for name, config in experiment.attributes.items():
        by = load_labeler(config, calibration)
        label(original, seeds=labels.seeds, by=by, feature=name).save(run.attributes / name)
    counts = labels.counts
    progress.say(
        f"labelled {len(labels)} pictures: {counts['yes']} yes, {counts['no']} no, "
        f"{counts['unsure']} unsure"
    )
    panel = make_panel(experiment, original, labels, gate, calibration)
    for note in panel.notes:
        progress.say(note)
    save_panel(panel, run.path / "panel")
    run.finish("label", began)
    return labels


def _label_by_person(
    run: RunFolder, experiment: Experiment, original: Generator, seeds: Tensor
) -> LatentSet:
    own = run.sheets / "answers.txt"
    answers = Path(experiment.label.answers) if experiment.label.answers else own
    identity = sheets_identity(original.fingerprint, seeds)
    if not run.sheets.exists():
        latents = original.latents_from_seeds(seeds.tolist())
        images = draw(original, latents)
        write_sheets(images, run.sheets, feature=experiment.feature, identity=identity)
        if answers == own:
            raise UserError(
                f"contact sheets are in '{run.sheets}': fill in '{own}', then "
                f"'unfeature label {run.path}' again"
            )
    labels, seen, who = read_answers(answers, len(seeds), identity=identity)
    kept = seen.nonzero().squeeze(1)
    return LatentSet(
        latents=original.latents_from_seeds(seeds[kept].tolist()),
        labels=labels[kept],
        scores=labels[kept].float(),
        seeds=seeds[kept],
        feature=experiment.feature,
        labeled_by=f"{who} on contact sheets",
        generator=original.fingerprint,
    )


def target_stage(run: RunFolder, progress: Progress) -> Diagnosis:
    """Fit the direction and say what training on it would mean."""
    run.require("label")
    began = time.perf_counter()
    experiment = run.experiment()
    labels = LatentSet.load(run.labels).require_generator(load_source(experiment.generator))
    attributes = load_attributes(run, experiment)
    settings = experiment.target
    target = TargetVector.fit(
        labels,
        method=settings.method,
        protect={name: attributes[name] for name in settings.protect},
        regularization=settings.regularization,
    )
    target.save(run.target)
    diagnosis = diagnose(
        labels,
        target,
        attributes=attributes,
        recall=experiment.erase.recall,
        method=settings.method,
        seed=experiment.seed,
    )
    write_json(run.path / "diagnosis.json", asdict(diagnosis))
    run.finish("target", began)
    return diagnosis


def load_attributes(run: RunFolder, experiment: Experiment) -> dict[str, LatentSet]:
    return {name: LatentSet.load(run.attributes / name) for name in experiment.attributes}


def unlearn_stage(run: RunFolder, progress: Progress, *, resume: bool = False) -> Generator:
    """Fine-tune a copy of the original, with checkpoints."""
    run.require("target")
    began = time.perf_counter()
    experiment = run.experiment()
    settings = experiment.unlearn
    original = load_source(experiment.generator)
    labels = LatentSet.load(run.labels).require_generator(original)
    panel = load_panel(run.path / "panel")
    state = load_checkpoint(run.checkpoint) if resume and run.checkpoint.exists() else None
    seconds_before = float(state.pop("seconds")) if state else 0.0
    rows = run.read_history(until=state["done"]) if state else []
    done = int(state.pop("done")) if state else 0

    unlearned = original
    held = original.latents_from_seeds(
        sample_seeds(settings.check_n, experiment.seed, "check").tolist()
    )
    check = make_check(original, panel, held)
    with (
        progress.bar("unlearn", settings.steps * settings.rounds, initial=done) as bar,
        run.history.open("w") as history,
    ):
        history.writelines(json.dumps(row) + "\n" for row in rows)
        for item in unlearn_in_rounds(
            original,
            first_fit(TargetVector.load(run.target), labels, experiment.erase),
            experiment.erase,
            settings,
            labeler=panel.gate,
            residual=lambda g, r: label(
                g,
                seeds=sample_seeds(experiment.label.n, experiment.seed, f"round {r}"),
                by=panel.gate,
                feature=experiment.feature,
            ),
            check=check,
            resume=state,
            seed=experiment.seed,
        ):
            step, unlearned = item.step, item.step.generator
            done += 1
            history.write(json.dumps(_row(item.round, done, step)) + "\n")
            bar.update()
            if step.check is not None:
                bar.set_postfix_str(
                    f"left {step.check.target_ratio:.2%}, L1 {step.check.recon:.4f}"
                )
                history.flush()
                seconds = seconds_before + time.perf_counter() - began
                save_checkpoint(run.checkpoint, {**item.state(), "done": done, "seconds": seconds})
        if state is not None and unlearned is original:  # nothing was left to do
            unlearned = original.copy()
            unlearned.module.load_state_dict(state["loop"]["average"])
    unlearned = unlearned.copy().requires_grad(False)
    notes = {"feature": experiment.feature, "unlearned from": original.fingerprint}
    save_generator(unlearned.with_about(unlearned=notes), run.unlearned)
    if experiment.encoder is not None and experiment.encoder.then == "adapt":
        progress.say("adapting the encoder")
        adapt_encoder(run, experiment, experiment.encoder, original)
    for said in (run.human, run.attack):  # of other weights
        said.unlink(missing_ok=True)
    run.finish("unlearn", began - seconds_before)
    return unlearned


def adapt_encoder(
    run: RunFolder, experiment: Experiment, settings: EncoderConfig, original: Generator
) -> None:
    """Write `encoder.safetensors` beside the unlearned weights: keys as the factory has them."""
    made = adapted(
        load_encoder(settings),
        original,
        current_eraser(run, experiment, original),
        encode=encoding(settings, original),
        steps=settings.steps,
        seed=experiment.seed,
    )
    save_tensors(run.encoder, made.state_dict())


def _row(number: int, done: int, step: Any) -> dict[str, Any]:
    keys = ("loss", "recon", "unlearn", "percep", "edited", "learning_rate")
    row = {"index": done, "round": number, **{key: getattr(step, key) for key in keys}}
    if step.check is not None:
        row["check"] = asdict(step.check)
    return row


def make_check(original: Generator, panel: Panel, held: Tensor) -> Any:
    """The held-out check of the training loop, as the gate's labeller sees it."""
    before = draw(original, held)
    clean = judged(panel.gate, before) <= 0

    def check(student: Generator) -> Check:
        after = draw(student, held)
        ratio = (judged(panel.gate, after) > 0).float().mean().item()
        recon = (after[clean] - before[clean]).abs().mean().item() if clean.any() else 0.0
        return Check(ratio, recon)

    return check


def current_eraser(run: RunFolder, experiment: Experiment, original: Generator) -> Eraser:
    """The first round's eraser: the ideal that the report compares with."""
    labels = LatentSet.load(run.labels).require_generator(original)
    fit = first_fit(TargetVector.load(run.target), labels, experiment.erase)
    gate = load_panel(run.path / "panel").gate
    return make_eraser(fit, experiment.erase, original, gate, student=original)


def choose_extractor(experiment: Experiment, original: Generator) -> Extractor | None:
    """The named feature extractor, or the shipped judge where it fits."""
    if experiment.evaluate.features:
        return extractor(experiment.evaluate.features)
    return extractor("digits-judge") if original.image_shape == (1, 28, 28) else None


def evaluate_stage(run: RunFolder, progress: Progress) -> Verdict:
    """Judge original, erased ideal and unlearned on fresh latents."""
    run.require("unlearn")
    began = time.perf_counter()
    experiment = run.experiment()
    original, unlearned = load_source(experiment.generator), load_generator(run.unlearned)
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
    examination = examine(run, experiment.evaluate, pairs, original, unlearned)
    spread = 0.0
    if experiment.verdict.fid is not None and features is not None and reference is not None:
        spread = fid_spread(features(pairs.unlearned)[0], features(reference)[0], seed=seed)
    criteria = decide(
        experiment.verdict.model_dump(), figures(found, examination.get("collateral", {}), spread)
    )
    write_json(run.criteria, [asdict(criterion) for criterion in criteria])
    rows = shown(pairs, experiment.evaluate.grid)
    save_tensors(run.path / "pairs.safetensors", vars(pairs[rows]))
    write_json(run.verdict, found.as_dict())
    run.finish("evaluate", began)
    return found


def figures(
    found: Verdict, collateral: dict[str, Any], spread: float
) -> dict[str, tuple[float, float, float, int]]:
    """What `[verdict]` can set a limit to: value, low, high, number of pictures.

    Args:
        collateral: what `examine` found of other attributes; {} for nothing.
        spread: standard deviation of the FID.
    """
    left, l1 = found.unlearned, found.negatives_l1
    rows = {
        "target_ratio": (left.value, left.low, left.high, left.n),
        "negatives_l1": (l1.value, l1.low, l1.high, l1.n),
    }
    for name, key in (("changed", "never had it"), ("changed_having", "had it")):
        if key in collateral:
            changed = collateral[key]["changed"]
            rows[name] = (changed["value"], changed["low"], changed["high"], changed["n"])
    if "unlearned" in found.quality:
        value = found.quality["unlearned"].fid
        rows["fid"] = (value, value - 1.96 * spread, value + 1.96 * spread, left.n)
    return rows


def report_stage(run: RunFolder, progress: Progress) -> None:
    """Write `report.html`."""
    run.require("evaluate")
    began = time.perf_counter()
    experiment = run.experiment()
    original, unlearned = load_source(experiment.generator), load_generator(run.unlearned)
    eraser = current_eraser(run, experiment, original)
    page = render(
        ReportData(
            feature=experiment.feature,
            verdict=Verdict.from_dict(read_json(run.verdict)),
            diagnosis=Diagnosis.from_dict(read_json(run.path / "diagnosis.json")),
            labels=LatentSet.load(run.labels),
            target=TargetVector.load(run.target),
            threshold=getattr(eraser, "threshold", None),
            eraser=eraser.name,
            labeling=load_panel(run.path / "panel").notes,
            pairs=Pairs(**load_tensors(run.path / "pairs.safetensors")),
            examination=read_json(run.path / "examination.json"),
            human=read_json(run.human) if run.human.exists() else None,
            attack=read_json(run.attack) if run.attack.exists() else None,
            criteria=run.read_criteria(),
            history=run.read_history(),
            facts={
                "seed": str(experiment.seed),
                "original": f"{original.spec.architecture}, weights {original.fingerprint}",
                "unlearned": f"weights {unlearned.fingerprint}",
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
