"""The stage in which a copy of the generator unlearns, with checkpoints."""

import hashlib
import json
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor, nn

from unfeature.adapters.encoder import encoding, load_encoder
from unfeature.adapters.files import (
    atomic,
    load_checkpoint,
    save_checkpoint,
    save_tensors,
)
from unfeature.adapters.pretrained import save_generator
from unfeature.adapters.sources import load_source
from unfeature.attack.encoder import adapted
from unfeature.config import EncoderConfig, Experiment
from unfeature.erase import Eraser
from unfeature.errors import UserError
from unfeature.evaluate import judged
from unfeature.folder import RunFolder
from unfeature.generator import Generator, draw
from unfeature.keeper import with_keeper
from unfeature.labels import LatentSet, label, sample_seeds
from unfeature.panel import Panel, load_panel
from unfeature.progress import Progress
from unfeature.rounds import first_fit, make_eraser, unlearn_in_rounds
from unfeature.stages import fit_target, require_fitting, require_slope
from unfeature.target import TargetVector
from unfeature.unlearn import Check


def unlearn_stage(run: RunFolder, progress: Progress, *, resume: bool = False) -> Generator:
    """Fine-tune a copy of the original, with checkpoints."""
    run.require("target")
    began = time.perf_counter()
    experiment = run.experiment()
    settings = experiment.unlearn
    original = load_source(experiment.generator)
    labels = LatentSet.load(run.labels).require_generator(original)
    panel = load_panel(run.path / "panel")
    require_slope(experiment, panel.gate, original)
    require_fitting(experiment, original)
    basis = _basis(run, experiment)
    if not resume:
        _require_finished(run, basis)
    state = load_checkpoint(run.checkpoint) if resume and run.checkpoint.exists() else None
    if state is not None and state.pop("basis", None) != basis:
        raise UserError(
            f"the checkpoint in '{run.path}' was made with other labels, another direction or "
            f"other settings; begin anew with: unfeature unlearn {run.path}"
        )
    seconds_before = float(state.pop("seconds")) if state else 0.0
    rows = run.read_history(until=state["done"]) if state else []
    done = int(state.pop("done")) if state else 0
    if state is not None:
        state.pop("finished", None)

    unlearned, aside = original, 0.0
    held = original.latents_from_seeds(
        sample_seeds(settings.check_n, experiment.seed, "check").tolist()
    )
    check = make_check(original, panel, held)
    history, last = None, None

    def save(items: dict[str, Any], **more: bool) -> None:
        seconds = seconds_before + time.perf_counter() - began - aside
        notes = {"done": done, "seconds": seconds, "basis": basis, **more}
        save_checkpoint(run.checkpoint, {**items, **notes})

    with (
        progress.bar("unlearn", settings.steps * settings.rounds, initial=done) as bar,
        ExitStack() as closing,
    ):
        for item in unlearn_in_rounds(
            original,
            first_fit(TargetVector.load(run.target), labels, experiment.erase),
            experiment.erase,
            settings,
            labeler=with_keeper(experiment, panel.gate),
            residual=lambda g, r: label(
                g,
                seeds=sample_seeds(experiment.label.n, experiment.seed, f"round {r}"),
                by=panel.gate,
                feature=experiment.feature,
                unsure=experiment.label.unsure,
            ),
            refit=lambda left: fit_target(run, experiment, left),
            check=check,
            resume=state,
            seed=experiment.seed,
        ):
            if history is None:  # only now is it known that there will be something
                history = closing.enter_context(_begin(run, rows, fresh=state is None))
            last, step, unlearned = item, item.step, item.step.generator
            done += 1
            history.write(json.dumps(_row(item.round, done, step)) + "\n")
            bar.update()
            if step.check is not None:
                bar.set_postfix_str(
                    f"left {step.check.target_ratio:.2%}, L1 {step.check.recon:.4f}"
                )
                history.flush()
                save(item.state())
        if state is not None and last is None:  # nothing was left to do
            unlearned = original.copy()
            unlearned.module.load_state_dict(state["loop"]["average"])
        if state is None and last is None:  # of no steps
            _begin(run, rows, fresh=True).close()
    unlearned = unlearned.copy().requires_grad(False)
    about = {"feature": experiment.feature, "unlearned from": original.fingerprint}
    encoder, learnt = None, time.perf_counter()
    if experiment.encoder is not None and experiment.encoder.then == "adapt":
        progress.say("adapting the encoder")
        encoder = adapt_encoder(run, experiment, experiment.encoder, original)
        aside = time.perf_counter() - learnt  # no part of the method
    run.encoder.unlink(missing_ok=True)  # one that was adapted to other weights
    save_generator(unlearned.with_about(unlearned=about), run.unlearned)
    if encoder is not None:
        save_tensors(run.encoder, encoder.state_dict())
    done_with = last.state() if last is not None else state
    if done_with is not None:
        save(done_with, finished=True)
    for said in (run.human, run.attack):  # of other weights
        said.unlink(missing_ok=True)
    run.finish("unlearn", began - seconds_before + aside)
    if encoder is not None:
        run.finish("encoder", time.perf_counter() - aside)
    return unlearned


def _require_finished(run: RunFolder, basis: str) -> None:
    """Raise where a training with the same settings was stopped and can go on."""
    if not run.checkpoint.exists():
        return
    before = load_checkpoint(run.checkpoint)
    if before.get("basis") == basis and not before.get("finished"):
        raise UserError(
            f"a training of '{run.path}' was stopped and can go on: unfeature unlearn {run.path} "
            f"--resume; to begin anew, delete '{run.checkpoint}'"
        )


def _begin(run: RunFolder, rows: list[dict[str, Any]], *, fresh: bool) -> TextIO:
    """The history, to be gone on with after `rows`; what a fresh training replaces is deleted."""
    with atomic(run.history) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if fresh:
        run.checkpoint.unlink(missing_ok=True)
    return run.history.open("a")


def _basis(run: RunFolder, experiment: Experiment) -> str:
    """16 hex digits of what a training follows from: only then may it go on from a checkpoint."""
    settings = experiment.model_dump(
        mode="json", include={"seed", "generator", "erase", "unlearn", "label"}
    )
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in (run.labels, run.target):
        digest.update(Path(f"{path}.safetensors").read_bytes())
    return digest.hexdigest()[:16]


def adapt_encoder(
    run: RunFolder, experiment: Experiment, settings: EncoderConfig, original: Generator
) -> nn.Module:
    """The encoder, taught to encode f(z) as the given one encodes what the first round's eraser
    makes of it."""
    return adapted(
        load_encoder(settings),
        original,
        current_eraser(run, experiment, original),
        encode=encoding(settings, original),
        steps=settings.steps,
        seed=experiment.seed,
    )


def _row(number: int, done: int, step: Any) -> dict[str, Any]:
    parts = ("recon", "unlearn", "percep", "edges", "gone", "keep")
    keys = ("loss", *parts, "edited", "learning_rate")
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
    gate = with_keeper(experiment, load_panel(run.path / "panel").gate)
    return make_eraser(fit, experiment.erase, original, gate, student=original)
