import gzip
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from unfeature.datasets import load_images, read_idx
from unfeature.errors import UserError
from unfeature.train import load_data, load_pictures


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10


@pytest.mark.parametrize("packed", [False, True])
def test_mnists_idx_files(
    tmp_path: Path, digits: tuple[np.ndarray, np.ndarray], packed: bool
) -> None:
    for name, array in zip(
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), digits, strict=True
    ):
        body = idx(array)
        path = tmp_path / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(body) if packed else body)
    data = load_images(tmp_path)
    assert data.images.shape == (20, 1, 28, 28)
    assert (data.images.min(), data.images.max()) == (-1, 1)
    restored = ((data.images[:, 0] + 1) * 127.5).round().byte().numpy()
    assert (restored == digits[0]).all()
    assert data.labels.tolist() == digits[1].tolist()
    assert data.classes == tuple("0123456789")
    assert len(data.where(data.labels == 3)) == 2


def test_npz(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = digits
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])
    assert len(load_images(tmp_path / "d.npz")) == 20
    assert len(load_images(tmp_path, split="test")) == 5


def test_a_folder_a_class(tmp_path: Path) -> None:
    for split, value in (("train", 255), ("test", 0)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (10, 10), (value, 0, 0)).save(tmp_path / split / name / f"{i}.png")
    data = load_images(tmp_path, size=8)
    assert data.images.shape == (6, 3, 8, 8)
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    torch.testing.assert_close(data.images[0, :, 0, 0], torch.tensor([1.0, -1.0, -1.0]))
    assert load_images(tmp_path, split="test").images[0, 0, 0, 0] == -1
    for name in (".ipynb_checkpoints", "empty"):
        (tmp_path / "train" / name).mkdir()
    assert load_images(tmp_path).classes == ("cat", "dog")
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(UserError, match="has a 'train' folder and no 'test' beside it"):
        load_images(tmp_path, split="test")
    Image.new("RGB", (10, 10)).save(tmp_path / "train" / "0.png")
    with pytest.raises(UserError, match=r"has 1 pictures of its own beside .*\(cat, dog\)"):
        load_images(tmp_path)


@pytest.mark.parametrize("layout", ["celeba", "ffhq", "flat"])
def test_standard_layouts_of_faces(layout: str, tmp_path: Path) -> None:
    folders = {
        "celeba": ["img_align_celeba"],
        "ffhq": ["images1024x1024/00000", "images1024x1024/01000"],
        "flat": ["."],
    }[layout]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for i in range(6):  # 178×218, as CelebA's: black bars above and below a square
            face = Image.new("RGB", (178, 218), (0, 0, 0))
            face.paste((40 * i, 255, 255), (0, 20, 178, 198))
            face.save(tmp_path / folder / f"{i:06d}.png")
    (tmp_path / "list_attr_celeba.txt").write_text("6\nSmiling\n")
    root = tmp_path / "images1024x1024" if layout == "ffhq" else tmp_path
    images = load_pictures(str(root), 6, size=16)
    assert images.shape == (6, 3, 16, 16)
    assert (images[:, 1:] == 1).all()  # the bars are cropped
    reds = ((images[:, 0].mean(dim=(1, 2)) + 1) * 127.5).round() / 40
    if layout == "ffhq":  # twelve pictures, of which six from both folders
        assert sorted(reds.tolist()) == [0, 0, 2, 2, 4, 5]
    else:
        assert sorted(reds.tolist()) == [0, 1, 2, 3, 4, 5]
    assert load_pictures(str(root), 3, size=8).shape == (3, 3, 8, 8)
    # what an oracle is trained on are the same pictures
    given = SimpleNamespace(data=root, n=6, size=16, table=None)
    assert torch.equal(load_data(given).images, images)
    with pytest.raises(UserError, match="--n is 0"):
        load_data(SimpleNamespace(data=root, n=0, size=16, table=None))


def test_the_first_pictures_of_a_folder_are_of_all_classes(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        for i in range(20):
            Image.new("L", (8, 8), i).save(tmp_path / name / f"{i:02}.png")
    data = load_images(tmp_path)
    assert set(data.labels[:15].tolist()) == {0, 1, 2}
    assert torch.equal(load_images(tmp_path).labels, data.labels)


def test_pictures_are_taken_evenly(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = digits
    y = np.arange(20, dtype=np.uint8) // 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    data = load_images(tmp_path / "d.npz", n=10)
    assert sorted(data.labels.tolist()) == list(range(10))
    assert data.labels.tolist() != list(range(10)), "the first of them are to be of all classes"
    assert len(load_images(tmp_path / "d.npz", n=100)) == 20


def test_what_cannot_be_read(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(UserError, match="no data at"):
        load_images(tmp_path / "gone")
    with pytest.raises(UserError, match="no data in"):
        load_images(tmp_path)
    (tmp_path / "cut").write_bytes(idx(digits[0])[:500])
    with pytest.raises(UserError, match="copy it again"):
        read_idx(tmp_path / "cut")
    (tmp_path / "text").write_text("hello there")
    with pytest.raises(UserError, match="not an IDX file"):
        read_idx(tmp_path / "text")
    whole = gzip.compress(idx(digits[0]))
    (tmp_path / "hurt.gz").write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    with pytest.raises(UserError, match="cannot read"):
        read_idx(tmp_path / "hurt.gz")
    (tmp_path / "hurt").mkdir()
    np.savez_compressed(tmp_path / "hurt" / "d.npz", x_train=digits[0], y_train=digits[1])
    body = (tmp_path / "hurt" / "d.npz").read_bytes()
    (tmp_path / "hurt" / "d.npz").write_bytes(body[:200] + b"\xff" * 60 + body[260:])
    with pytest.raises(UserError, match="cannot be read as an image archive"):
        load_images(tmp_path / "hurt")
    deep = tmp_path / "deep"
    deep.mkdir()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(deep / "a.png")
    with pytest.raises(UserError, match=r"a\.png' has more than 8 bits a channel"):
        load_images(deep)
    for x, y in ((digits[0][:0], digits[1][:0]), (digits[0], digits[1][:, None])):
        np.savez(tmp_path / "bad.npz", x_train=x, y_train=y)
        with pytest.raises(UserError, match="expected n×h×w bytes and n labels, n at least 1"):
            load_images(tmp_path / "bad.npz")
    (tmp_path / "mixed" / "a").mkdir(parents=True)
    for size in (8, 9):
        Image.new("L", (size, size)).save(tmp_path / "mixed" / "a" / f"{size}.png")
    with pytest.raises(UserError, match="give --size"):
        load_images(tmp_path / "mixed")
