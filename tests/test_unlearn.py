from dataclasses import replace
from typing import Any

import pytest
import torch

import unfeature as uf
from unfeature.config import UnlearnConfig
from unfeature.erase import Eraser, ImageEraser, LinearEraser
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.loss import roughness, unlearning_loss
from unfeature.msssim import MSSSIM
from unfeature.pool import LessonPool, teach
from unfeature.target import TargetVector
from unfeature.unlearn import Check, Step, learning_rate, settled, unlearn

QUICK = UnlearnConfig(steps=12, batch_size=16, pool=4, reuse=2, check_every=4)


@pytest.fixture
def eraser(toy: Generator, corner: FunctionLabeler, labels: LatentSet) -> ImageEraser:
    return ImageEraser(toy, corner, TargetVector.fit(labels), path="descent", margin=0.7)


def last(steps: Any) -> Step:
    *_, step = steps
    return step


def test_loss_is_the_papers(toy: Generator, labels: LatentSet) -> None:
    """Against the equations written out one image at a time."""
    eraser = LinearEraser(TargetVector.fit(labels), 0.0)
    z = labels.latents[:40]
    student = toy.copy().requires_grad(False)
    for parameter in student.module.parameters():
        parameter.data *= 0.9
    lesson = teach(toy, eraser, z)
    msssim, alpha = MSSSIM(16, 16), 0.7
    found, rough = (
        unlearning_loss(
            student(z), lesson.images, lesson.edited, alpha=alpha, msssim=msssim, edges=weight
        )
        for weight in (0.0, 0.4)
    )
    recon = unlearn_ = percep = edges = torch.zeros(())
    for i in range(len(z)):
        one = z[i : i + 1]
        sim = float((eraser.target.score(one) > 0).item())
        g, f, erased = student(one), toy(one), toy(eraser(one))
        recon = recon + (1 - sim) * (g - f).abs().mean() / len(z)
        unlearn_ = unlearn_ + sim * (g - erased).abs().mean() / len(z)
        percep = percep + sim * (1 - msssim(g, erased)[0]) / len(z)
        off = (g - erased)[0, 0]
        steps = sum(off.diff(dim=axis).abs().sum() for axis in (0, 1))
        edges = edges + 0.4 * alpha * sim * steps / off.numel() / len(z)
    assert found.edges == 0
    for ours, theirs in (
        (found.recon, recon),
        (found.unlearn, unlearn_),
        (found.percep, percep),
        (found.total, alpha * (unlearn_ + percep) + recon),
        (rough.edges, edges),
        (rough.total, found.total + edges),
    ):
        assert theirs > 0
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_a_batch_without_the_feature_has_only_reconstruction(toy: Generator) -> None:
    images = torch.zeros(3, 1, 16, 16)
    none = torch.zeros(3, dtype=torch.bool)
    found = unlearning_loss(images + 0.5, images, none, alpha=1.0, msssim=MSSSIM(16, 16))
    assert (found.unlearn, found.percep) == (0, 0)
    assert found.total.item() == pytest.approx(0.5)


def test_specks_cost_more_than_a_faint_stroke() -> None:
    """Half of a stroke that is missing: every second pixel of it, or all of it at half."""
    stroke = torch.zeros(1, 1, 16, 16)
    stroke[..., 4:12, 7:9] = 1
    faint, specks = stroke / 2, stroke.clone()
    specks[..., 4:12:2, 7] = specks[..., 5:12:2, 8] = 0
    assert (stroke - specks).abs().sum() == (stroke - faint).abs().sum()
    assert roughness(stroke - specks) > 1.5 * roughness(stroke - faint)


def test_edges_are_part_of_the_training(toy: Generator, eraser: ImageEraser) -> None:
    plain, with_edges = (
        last(unlearn(toy, eraser, QUICK.model_copy(update={"edges": weight})))
        for weight in (0.0, 0.5)
    )
    assert (plain.edges, with_edges.edges > 0) == (0, True)
    parts = with_edges.recon + QUICK.alpha * (with_edges.unlearn + with_edges.percep)
    assert with_edges.loss == pytest.approx(parts + with_edges.edges, rel=1e-5)
    assert plain.generator.fingerprint != with_edges.generator.fingerprint


def test_original_never_changes_and_the_copy_does(toy: Generator, eraser: ImageEraser) -> None:
    before = toy.fingerprint
    step = last(unlearn(toy, eraser, QUICK))
    assert toy.fingerprint == before
    assert step.generator.fingerprint != before
    assert list(step.generator.module.state_dict()) == list(toy.module.state_dict())


def test_zero_steps_give_the_same_weights(toy: Generator, eraser: ImageEraser) -> None:
    assert list(unlearn(toy, eraser, QUICK.model_copy(update={"steps": 0}))) == []
    shut = LinearEraser(eraser.target, 1e6)
    step = last(unlearn(toy, shut, QUICK))
    drawn = toy.sample_latents(50, torch.Generator().manual_seed(0))
    assert (draw(step.generator, drawn) - draw(toy, drawn)).abs().mean() < 0.02


def test_a_tether_takes_a_share_of_the_way_back(toy: Generator, eraser: ImageEraser) -> None:
    """After one update: (1 − share) of what the update did; after several, a shorter way."""

    def way(steps: int, tether: float) -> list[torch.Tensor]:
        config = QUICK.model_copy(update={"steps": steps, "tether": tether, "average": 0.0})
        state = last(unlearn(toy, eraser, config)).state()["model"]
        before = toy.module.state_dict()
        return [state[key] - before[key] for key in before]

    for free, held in zip(way(1, 0.0), way(1, 0.3), strict=True):
        assert free.abs().max() > 0
        torch.testing.assert_close(held, 0.7 * free, atol=1e-7, rtol=1e-3)
    free, held = (torch.cat([w.flatten() for w in way(12, t)]).norm() for t in (0.0, 0.3))
    assert held < 0.5 * free


def test_a_tether_holds_to_the_original_not_to_where_g_starts(
    toy: Generator, eraser: ImageEraser
) -> None:
    student = toy.copy()
    for parameter in student.module.parameters():
        parameter.data += 1.0
    config = QUICK.model_copy(update={"steps": 1, "tether": 0.9, "average": 0.0})
    state = last(unlearn(toy, eraser, config, student=student)).state()["model"]
    for key, original in toy.module.state_dict().items():
        assert (state[key] - original).abs().max() < 0.2


def test_resume_equals_no_interruption(toy: Generator, eraser: ImageEraser) -> None:
    whole = last(unlearn(toy, eraser, QUICK)).generator.fingerprint
    for stop in (1, 5, 11):
        for step in unlearn(toy, eraser, QUICK):
            if step.index == stop:
                state = torch_round_trip(step.state())
                break
        resumed = last(unlearn(toy, eraser, QUICK, resume=state))
        assert resumed.index == 12
        assert resumed.generator.fingerprint == whole


def test_resume_of_a_convolutional_generator() -> None:
    original = uf.load("digits-gan")
    direction = torch.nn.functional.normalize(torch.arange(64.0), dim=0)
    target = TargetVector(direction, "mean", (), "x", original.fingerprint)
    config = QUICK.model_copy(update={"steps": 6, "batch_size": 8})
    whole = list(unlearn(original, LinearEraser(target, 0.0), config))[-1]
    for step in unlearn(original, LinearEraser(target, 0.0), config):
        if step.index == 3:
            state = torch_round_trip(step.state())
            break
    resumed = last(unlearn(original, LinearEraser(target, 0.0), config, resume=state))
    assert resumed.generator.fingerprint == whole.generator.fingerprint


def torch_round_trip(state: dict[str, Any]) -> dict[str, Any]:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def test_it_unlearns_and_shuffled_labels_do_not(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    config = UnlearnConfig(steps=300, batch_size=64, learning_rate=1e-2)
    z = toy.sample_latents(2000, torch.Generator().manual_seed(11))

    def left(eraser: Eraser) -> float:
        student = last(unlearn(toy, eraser, config)).generator
        return (corner.score(draw(student, z)) > 0).float().mean().item()

    before = (corner.score(draw(toy, z)) > 0).float().mean().item()
    assert before > 0.2
    honest = TargetVector.fit(labels)
    assert left(ImageEraser(toy, corner, honest, path="descent", margin=1.5)) < 0.1 * before
    assert left(Eraser.fit(honest, labels, gate="paper")) < 0.6 * before
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(2))
    shuffled = replace(labels, labels=labels.labels[order])
    assert left(Eraser.fit(TargetVector.fit(shuffled), shuffled, gate="paper")) > 0.7 * before


def test_pool_is_a_function_of_seed_and_step(toy: Generator, eraser: ImageEraser) -> None:
    pools = [LessonPool(toy, eraser, 8, chunks=4, reuse=2, seed=s) for s in (0, 0, 1)]
    for step in range(9):
        pools[0].batch(step)
    walked, jumped, other = pools[0].batch(9), pools[1].batch(9), pools[2].batch(9)
    assert torch.equal(walked.latents, jumped.latents)
    assert torch.equal(walked.images, jumped.images)
    assert not torch.equal(walked.latents, other.latents)


def test_a_pool_of_one_makes_every_batch_anew(toy: Generator, eraser: ImageEraser) -> None:
    pool = LessonPool(toy, eraser, 8, chunks=1, reuse=1)
    rows = torch.cat([pool.batch(step).latents for step in range(5)])
    assert len(rows.unique(dim=0)) == 40


def test_lessons_are_used_reuse_times(toy: Generator, eraser: ImageEraser) -> None:
    pool = LessonPool(toy, eraser, 8, chunks=4, reuse=5)
    assert (pool.made(1003) - pool.made(3)) == 1000 // 5


def test_learning_rate_warms_up_and_falls() -> None:
    config = UnlearnConfig(steps=100, warmup=10, learning_rate=1e-3, final_rate=0.1)
    rates = [learning_rate(i, config) for i in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1e-4, rel=0.02)


def test_settled_needs_both_figures_to_rest() -> None:
    config = UnlearnConfig(patience=2, ratio_tolerance=0.01, recon_tolerance=0.05)
    rest = [Check(0.1, 0.05)] * 3
    assert settled(rest, config)
    assert not settled(rest[:2], config)
    assert not settled([*rest, Check(0.05, 0.05)], config)
    assert not settled([*rest, Check(0.1, 0.04)], config)


def test_it_stops_early_once_settled(toy: Generator, eraser: ImageEraser) -> None:
    config = QUICK.model_copy(update={"steps": 100, "patience": 2})
    steps = list(unlearn(toy, eraser, config, check=lambda g: Check(0.0, 0.0)))
    assert len(steps) == 12
    assert [s.index for s in steps if s.check] == [4, 8, 12]


def test_resuming_what_had_settled_trains_no_further(toy: Generator, eraser: ImageEraser) -> None:
    config = QUICK.model_copy(update={"steps": 100, "patience": 2})
    end = last(unlearn(toy, eraser, config, check=lambda g: Check(0.0, 0.0)))
    assert list(unlearn(toy, eraser, config, resume=end.state())) == []


def test_a_loss_that_explodes_names_the_setting(toy: Generator, eraser: ImageEraser) -> None:
    class Broken(LinearEraser):
        def erase(self, latents: torch.Tensor) -> Any:
            erasure = super().erase(latents)
            return replace(erasure, images=torch.full((len(latents), 1, 16, 16), torch.nan))

    with pytest.raises(UserError, match=r"unlearn\.learning_rate"):
        last(unlearn(toy, Broken(eraser.target, 0.0), QUICK))
