"""Reading and writing weights safely: no code is ever unpickled, no file is ever half written."""

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from unfeature.errors import UserError, first_line

T = TypeVar("T")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def kept_aside(path: Path) -> Iterator[Callable[[], None]]:
    """While the block runs, what `path` is now has a second name: call what this gives to have it
    back, or gone where there is none. Good for files that are replaced and not written over."""
    aside, there = path.with_name(f".{path.name}.kept"), path.exists()
    aside.unlink(missing_ok=True)
    if there:
        try:
            os.link(path, aside)
        except OSError:  # a file system without links
            shutil.copy2(path, aside)

    def restore() -> None:
        if there:
            os.replace(aside, path)
        else:
            path.unlink(missing_ok=True)

    try:
        yield restore
    finally:
        aside.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        UserError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(
            f"cannot write in '{folder}' ({error.strerror}); choose another folder with -o"
        ) from error


def write_json(path: Path, value: Any) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: Path) -> str:
    """A text that a person wrote, with any editor's byte-order mark.

    Raises:
        OSError: it cannot be read.
        UserError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"there is no file '{path}'") from error
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read as JSON: {error}") from error


def read_record(path: Path, build: Callable[[Any], T]) -> T:
    """What `build` makes of a file of ours.

    Raises:
        UserError: it was damaged or written by another version.
    """
    found = read_json(path)
    try:
        return build(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"'{path}' is not what this version writes ({type(error).__name__}: {error}); make it "
            "anew by repeating the stage that wrote it"
        ) from error


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with atomic(path) as temporary:
        apart = {  # modules may share memory among tensors, the format does not
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        safetensors.torch.save_file(apart, temporary)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file, on the CPU."""
    if not path.is_file():
        raise UserError(f"there is no file '{path}'")
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"'{path}' is not a whole safetensors file ({error}); copy or make it again"
        ) from error


def load_state_dict(path: Path, *, entry: str = "", table: str = "generator") -> dict[str, Tensor]:
    """The state dict in a `.safetensors` or PyTorch file, on the CPU whatever device saved it.

    Args:
        entry: where in a PyTorch checkpoint the state dict lies, e.g. `"state_dict"`.
        table: of the settings, to name where it does not lie there.

    Raises:
        UserError: no such file, a file that needs code to be unpickled, or one without tensors.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    if not path.is_file():
        raise UserError(f"there is no weights file '{path}'")
    with path.open("rb") as file:
        begins = file.read(24)
    if not begins.startswith((b"PK", b"\x80")):  # a zip archive, or a pickle of before 1.6
        raise UserError(
            f"'{path}' is no PyTorch file: it begins with {begins!r}; copy it again (what Git LFS "
            "leaves in its place has to be fetched with 'git lfs pull')"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"'{path}' holds Python objects beside its weights, and we do not run code from "
            "weights files; save the module's state_dict() alone"
        ) from error
    except Exception as error:  # of a damaged file, of many kinds
        raise UserError(
            f"'{path}' cannot be read as a PyTorch file ({first_line(error)}); copy it again"
        ) from error
    if entry:
        if not isinstance(loaded, dict) or entry not in loaded:
            raise UserError(f"'{path}' has no entry '{entry}' ({table}.entry)")
        loaded = loaded[entry]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        keys = ", ".join(map(str, loaded))[:120] if isinstance(loaded, dict) else "no dict at all"
        raise UserError(
            f"'{path}' is not a plain state dict (it holds {keys}); "
            f"name where it lies with {table}.entry"
        )
    return loaded


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write nested tensors and plain values, atomically."""
    with atomic(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, of many kinds
        raise UserError(
            f"checkpoint '{path}' cannot be read; delete it to start this stage again"
        ) from error
    return state
