"""Avatars: reproducible, as correlated as their table says, and with exact counterfactuals."""

import math
from pathlib import Path

import pytest
import torch

from unfeature import avatars
from unfeature.avatars import LIFE, NAMES, Chance, Table, read_table
from unfeature.errors import UserError

N = 20_000
REGIONS = {  # left, top, right, bottom in pixels of 64, where an attribute may change the picture
    "old": (14, 13, 50, 53),
    "male": (0, 20, 64, 64),
    "dark_skin": (6, 12, 58, 64),
    "round_face": (4, 2, 60, 64),
    "dark_background": (0, 0, 64, 64),
    "glasses": (6, 21, 58, 46),
    "sunglasses": (10, 21, 54, 45),
    "grey_hair": (4, 2, 60, 64),
    "blond": (4, 2, 60, 64),
    "long_hair": (4, 8, 60, 64),
    "bangs": (8, 2, 56, 34),
    "beard": (8, 25, 56, 61),
    "hat": (0, 0, 64, 34),
    "smile": (15, 33, 50, 55),
    "earrings": (6, 31, 58, 52),
}
NOSE = (29, 33, 35, 40)
BESIDE_THE_FACE = ("dark_background", "grey_hair", "blond", "long_hair", "bangs", "hat", "earrings")


@pytest.fixture(scope="module")
def many() -> avatars.Faces:
    return avatars.sample(range(N), seed=1)


def test_picture_i_is_a_function_of_seed_and_i_alone() -> None:
    whole = avatars.dataset(150, seed=3)
    part = avatars.dataset(40, seed=3, start=70)
    assert torch.equal(whole.images[70:110], part.images)
    assert torch.equal(whole.labels[70:110], part.labels)
    scattered = avatars.draw(avatars.sample([149, 2, 77], seed=3))
    assert torch.equal(scattered, whole.images[[149, 2, 77]])
    assert not torch.equal(avatars.dataset(40, seed=4, start=70).images, part.images)


def test_pictures_are_in_range_and_not_alike() -> None:
    images = avatars.dataset(64).images
    assert images.shape == (64, 3, 64, 64)
    assert images.min() >= -1
    assert images.max() <= 1
    distances = torch.cdist(images.flatten(1), images.flatten(1), p=1) / images[0].numel()
    assert distances[~torch.eye(64, dtype=torch.bool)].min() > 0.05


def test_a_larger_picture_shows_the_same_face() -> None:
    faces = avatars.sample(range(32))
    small, large = avatars.draw(faces), avatars.draw(faces, size=128)
    assert large.shape == (32, 3, 128, 128)
    assert (torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean() < 0.02


def test_shares_are_those_of_the_table(many: avatars.Faces) -> None:
    expected = LIFE.shares()
    for name in NAMES:
        share, found = expected[name], many.having(name).double().mean().item()
        assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / N), name


def test_correlations_are_those_of_the_table(many: avatars.Faces) -> None:
    states, chances = LIFE.joint()
    assert chances.sum().item() == pytest.approx(1)
    wide = states.double()
    mean = chances @ wide
    both = (wide * chances[:, None]).T @ wide
    spread = (mean * (1 - mean)).sqrt()
    expected = (both - mean.outer(mean)) / spread.outer(spread)
    found = torch.corrcoef(many.attributes.double().T)
    assert (found - expected).abs().max() < 4.5 / math.sqrt(N)
    assert expected[NAMES.index("glasses"), NAMES.index("old")] > 0.3
    assert expected[NAMES.index("beard"), NAMES.index("male")] > 0.3


def test_correlations_can_be_turned_off() -> None:
    table = LIFE.without_correlations()
    assert table.shares() == pytest.approx(LIFE.shares())
    found = torch.corrcoef(avatars.sample(range(N), table=table).attributes.double().T)
    for pair in (("sunglasses", "glasses"), ("blond", "grey_hair")):  # cannot be seen otherwise
        one, other = (NAMES.index(name) for name in pair)
        assert found[one, other].abs() > 0.1
        found[one, other] = found[other, one] = 0
    off = found[~torch.eye(len(NAMES), dtype=torch.bool)]
    assert off.abs().max() < 4.5 / math.sqrt(N)


def test_every_attribute_is_seen_without_correlations() -> None:
    faces = avatars.sample(range(400), table=LIFE.without_correlations())
    pictures = avatars.draw(faces)
    for name in NAMES:
        having = faces.having(name)
        other = avatars.draw(faces.counterfactual(**{name: False}))
        assert (pictures != other).flatten(1).any(1)[having].all(), name


@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_changes_the_picture_where_it_should_and_nowhere_else(name: str) -> None:
    faces = avatars.sample(range(64), seed=2).counterfactual(glasses=name == "sunglasses")
    if name != "hat":
        faces = faces.counterfactual(hat=False)
    if name == "blond":
        faces = faces.counterfactual(grey_hair=False)
    if name in ("grey_hair", "blond"):
        faces = faces.counterfactual(beard=False)  # it has the hair's colour
    without = avatars.draw(faces.counterfactual(**{name: False}))
    having = avatars.draw(faces.counterfactual(**{name: True}))
    changed = (without - having).abs().amax(1) > 0
    assert changed.flatten(1).sum(1).min() >= 8, "every face must show it"
    if name in BESIDE_THE_FACE:
        left, top, right, bottom = NOSE
        assert not changed[:, top:bottom, left:right].any()
    left, top, right, bottom = REGIONS[name]
    changed[:, top:bottom, left:right] = False
    assert not changed.any()


def test_a_counterfactual_without_change_is_the_same_picture() -> None:
    faces = avatars.sample(range(100), seed=5)
    bare = ~faces.having("glasses")
    assert 0 < int(bare.sum()) < 100
    same = avatars.draw(faces.counterfactual(glasses=False))
    assert torch.equal(same[bare], avatars.draw(faces)[bare])


def test_a_rest_is_where_the_attribute_would_be_and_never_nothing() -> None:
    faces = avatars.sample(range(200), seed=6)
    bare = avatars.draw(faces.counterfactual(glasses=False))
    worn = avatars.draw(faces.counterfactual(glasses=True))
    rests = avatars.faint(faces, "glasses", seed=1)
    assert torch.equal(rests, avatars.faint(faces, "glasses", seed=1))
    assert not torch.equal(rests, avatars.faint(faces, "glasses", seed=2))
    assert rests.abs().max() <= 1
    assert torch.equal((rests != bare).any(1) & (worn == bare).all(1), torch.zeros(200, 64, 64) > 0)
    left = (rests - bare).abs().sum((1, 2, 3)) / (worn - bare).abs().sum((1, 2, 3))
    assert left.min() > 0.03  # a clamped colour may be less than was asked for
    assert (left < 0.5).float().mean() > 0.3
    assert (left > 0.5).float().mean() > 0.1
    with pytest.raises(UserError, match="did you mean 'glasses'"):
        avatars.faint(faces, "glases")


def test_sunglasses_are_glasses() -> None:
    faces = avatars.sample(range(400))
    assert faces.having("sunglasses").any()
    assert not faces.counterfactual(glasses=False).having("sunglasses").any()


def test_a_fixed_attribute_is_always_or_never_there() -> None:
    faces = avatars.sample(range(500), table=LIFE.fixed(glasses=False, hat=True))
    assert not faces.having("glasses").any()
    assert faces.having("hat").all()


def test_what_is_wrong_with_a_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no attribute 'glases'.*did you mean.*glasses"):
        avatars.sample([0]).having("glases")
    with pytest.raises(UserError, match=r"glasses: chance 1.4 is not in \[0, 1\]"):
        Table({**LIFE.rows, "glasses": Chance((1.4,))})
    with pytest.raises(UserError, match="2 chances for 2 parents; give 4"):
        Table({**LIFE.rows, "hat": Chance((0.1, 0.2), ("old", "male"))})
    with pytest.raises(UserError, match="its parent 'smile' must stand above it"):
        Table({**LIFE.rows, "hat": Chance((0.1, 0.2), ("smile",))})
    with pytest.raises(UserError, match="no row for: earrings"):
        Table({name: row for name, row in LIFE.rows.items() if name != "earrings"})
    path = tmp_path / "table.toml"
    path.write_text('[glasses]\nchance = "often"\n')
    with pytest.raises(UserError, match="glasses: write chance"):
        read_table(path)
    path.write_text(
        "[hat]\nchance = [0.5, 0.1]\nparents = ['smile']\n"
        "[smile]\nchance = [0.5, 0.1]\nparents = ['hat']\n"
    )
    with pytest.raises(UserError, match="hat: its parent 'smile' must stand above it"):
        read_table(path)
    path.write_text("[male]\nchance = 0.9\n")
    shares = read_table(path).shares()
    assert shares["male"] == pytest.approx(0.9)
    assert shares["beard"] > 1.5 * LIFE.shares()["beard"]
    path.write_text("[smile]\nchance = 0.5\n[hat]\nchance = [0.5, 0.1]\nparents = ['smile']\n")
    faces = avatars.sample(range(4000), table=read_table(path))
    assert faces.having("hat")[faces.having("smile")].float().mean() < 0.2


@pytest.mark.parametrize("size", [0, 8, 48, 63])
def test_a_size_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(UserError, match="power of two"):
        avatars.draw(avatars.sample([0]), size=size)
