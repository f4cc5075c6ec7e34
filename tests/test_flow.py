"""The flow that is a VAE's prior: its inverse, its density, and that it learns one."""

import math

import pytest
import torch
from torch import Tensor

from unfeature.errors import UserError
from unfeature.models import build
from unfeature.models.flow import Flow, gaussian
from unfeature.models.residual_vae import CalibratedLikelihood, ResidualDecoder, ResidualEncoder
from unfeature.training import TrainConfig
from unfeature.training.originals import original_session


def normals(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def flow() -> Flow:
    """With no weight left at its initial zero."""
    made = Flow(6, 5, width=16)
    random = torch.Generator().manual_seed(1)
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=random)
    return made


def test_it_starts_as_the_identity() -> None:
    u = normals(20, 6)
    made = Flow(6, 5)
    assert torch.equal(made(u), u)
    torch.testing.assert_close(made.log_density(u), gaussian(u))
    wanted = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(1)
    torch.testing.assert_close(gaussian(u), wanted)


def test_every_coordinate_is_moved_and_found_back(flow: Flow) -> None:
    u = normals(50, 6)
    z = flow(u)
    assert ((z - u).abs() > 0.01).any(0).all()
    again, _ = flow.inverse(z)
    torch.testing.assert_close(again, u, rtol=1e-4, atol=1e-4)


def test_its_density_is_that_of_what_it_draws(flow: Flow) -> None:
    """log p(z) = log N(u) − log |det ∂z/∂u|, the determinant by autograd."""
    u = normals(8, 6)
    said = flow.log_density(flow(u))
    for row, found in zip(u, said, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0], row)
        _, volume = torch.linalg.slogdet(jacobian)
        torch.testing.assert_close(found, gaussian(row[None])[0] - volume, rtol=1e-4, atol=1e-3)


def test_it_learns_two_heaps() -> None:
    """Half of the data about (−3, 0), half about (3, 0), which no Gaussian describes as well."""
    data = 0.3 * normals(2000, 2)
    data[:, 0] += torch.where(torch.arange(2000) % 2 == 0, 3.0, -3.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Flow(2, 6, width=32)
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    for _ in range(300):
        optimizer.zero_grad()
        loss = -made.log_density(data).mean()
        loss.backward()
        optimizer.step()
    spread = data.std(0)
    best_gaussian = 1 + math.log(2 * math.pi) + spread.log().sum()
    assert loss < best_gaussian - 1
    with torch.no_grad():
        drawn = made(normals(2000, 2, seed=3))
    right = drawn[:, 0] > 0
    assert 0.3 < right.double().mean() < 0.7
    assert (drawn[:, 0].abs() < 1).double().mean() < 0.1  # hardly anything lies between


def test_an_odd_number_of_latents_is_refused() -> None:
    with pytest.raises(UserError, match="needs an even number of latents, not 5"):
        build("residual-vae", {"latent_dim": 5, "size": 16, "flow": 2})


def test_the_bound_with_a_flow_of_no_effect_is_the_gaussian_one() -> None:
    """On average over the noise: the flow's KL is estimated from one draw."""
    size = {"latent_dim": 6, "width": 8, "max_width": 32, "size": 16}
    decoder, encoder = ResidualDecoder(**size, flow=2), ResidualEncoder(**size)
    assert encoder.head.bias is not None
    encoder.head.bias.data = torch.linspace(-1, 1, 12)
    likelihood, images = CalibratedLikelihood(16), torch.zeros(4000, 3, 16, 16)
    noise = normals(4000, 6)
    with torch.no_grad():
        with_flow = likelihood.of_residual(encoder, decoder, images, noise, beta=2.0)
        plain = likelihood(encoder, decoder.decode, images, noise, beta=2.0)
    assert torch.equal(with_flow[0], plain[0])
    assert plain[1] > 1
    assert with_flow[1].item() == pytest.approx(plain[1].item(), rel=0.03)


def test_a_session_trains_the_flow_and_saves_it_with_the_decoder() -> None:
    config = TrainConfig(epochs=1, batch_size=8, learning_rate=1e-2, average=0.0)
    session, options = original_session(
        "residual-vae", (3, 16, 16), config, latent_dim=6, width=8, flow=2
    )
    images = normals(8, 3 * 16 * 16).view(8, 3, 16, 16).clamp(-1, 1)
    random = torch.Generator().manual_seed(0)
    for step in range(3):
        session.step(images, torch.zeros(8), random, step / 3)
    trained = session.model
    assert isinstance(trained, ResidualDecoder)
    assert trained.flow is not None
    z = normals(4, 6)
    assert not torch.equal(trained.flow(z), z)
    again = build("residual-vae", options)
    again.load_state_dict(trained.state_dict())
    torch.testing.assert_close(again(z), trained.decode(trained.flow(z)))
