import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from unfeature.errors import UserError
from unfeature.msssim import MSSSIM, choose_scales


def pair(n: int, c: int, h: int, w: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    x = torch.nn.functional.avg_pool2d(torch.rand(n, c, h, w, generator=random), 3, 1, 1) * 2 - 1
    y = (x + 0.2 * torch.randn(x.shape, generator=random)).clamp(-1, 1)
    return x, y


@pytest.mark.parametrize(
    ("c", "h", "w"), [(1, 28, 28), (3, 64, 64), (1, 16, 16), (3, 40, 56), (3, 180, 180)]
)
def test_equals_torchmetrics_with_its_borders(c: int, h: int, w: int) -> None:
    x, y = pair(4, c, h, w)
    ours = MSSSIM(h, w, reflect_last=True)
    if h == 180:
        assert ours.scales.window == 11
        assert len(ours.scales.weights) == 5  # the paper's own setting
    theirs = multiscale_structural_similarity_index_measure(
        x,
        y,
        sigma=ours.scales.sigma,
        kernel_size=ours.scales.window,
        betas=ours.scales.weights,
        data_range=2.0,
        reduction="none",
    )
    torch.testing.assert_close(ours(x, y), theirs, atol=1e-4, rtol=0)


def test_borders_left_out_change_only_the_last_scale() -> None:
    x, y = pair(4, 3, 64, 64)
    y[..., 2:-2, 2:-2] = x[..., 2:-2, 2:-2]  # the images differ at their rim alone
    assert (MSSSIM(64, 64)(x, y) > MSSSIM(64, 64, reflect_last=True)(x, y)).all()


def test_gradient_equals_torchmetrics() -> None:
    x, y = pair(4, 1, 28, 28)
    ours = MSSSIM(28, 28, reflect_last=True)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours(a, y).sum().backward()
    multiscale_structural_similarity_index_measure(
        b,
        y,
        sigma=ours.scales.sigma,
        kernel_size=7,
        betas=ours.scales.weights,
        data_range=2.0,
        reduction="sum",
    ).backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-3)


def test_equal_images_have_one_and_each_pair_stands_alone() -> None:
    x, y = pair(6, 1, 28, 28)
    msssim = MSSSIM(28, 28)
    torch.testing.assert_close(msssim(x, x), torch.ones(6))
    together = msssim(x, y)
    alone = torch.cat([msssim(x[i : i + 1], y[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone)
    assert (together < 0.99).all()


def test_gradient_is_finite_where_images_are_opposite() -> None:
    x, _ = pair(2, 1, 28, 28)
    a = x.clone().requires_grad_()
    MSSSIM(28, 28)(a, -x).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("side", [12, 16, 28, 32, 64, 128, 256])
def test_scales_fit_the_image(side: int) -> None:
    scales = choose_scales(side)
    assert side >> (len(scales.weights) - 1) >= scales.window
    assert sum(scales.weights) == pytest.approx(1)
    assert len(scales.weights) >= 3


def test_too_small_images_are_refused() -> None:
    with pytest.raises(UserError, match="8 pixels are too small"):
        choose_scales(8)
