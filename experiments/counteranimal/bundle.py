"""One model's embeddings with labels and groups, from a file or from arrays, checked once.

    image            N x D   image embeddings
    label            N       class of each row, integers from 0
    group            N       "common" or "counter" (or 0 and 1)
    background       N       integers or names; a class's most frequent backgrounds are common if there is no group
    text             K x D   prompt embeddings, or K x T x D for T prompts per class
    text_background  A x D   embeddings of captions that show a background alone (optional)
    split            N       "train" or "test" (or 0 and 1): heads are fitted on train, measured on test (optional)
    names            K       names of the classes (optional)

A file is .npz or .safetensors, a folder of .npy files named as the arrays, or a CSV. A CSV has one row per embedding:
the column `array` says which (image, text, text_background), the columns above hold labels, and all other columns, in
their order, the D coordinates. Nothing in a file is executed. Image rows stay on disk where the format allows it.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from experiments.counteranimal.photos import GROUPS
from experiments.errors import RequestError
from simulator.naming import suggestion

REQUIRED = ("image", "label", "text")
PER_ROW = ("label", "group", "background", "split")
ARRAYS = (*REQUIRED, "group", "background", "text_background", "split", "names")
SPLITS = ("train", "test")
KINDS = {"image": "fiu", "text": "f", "text_background": "f"}  # numpy's kinds of numbers
MOST_ROWS, MOST_DIMENSIONS, MOST_CLASSES = 5_000_000, 16_384, 1_000
MOST_BYTES = {".npz": 2**35, ".csv": 2**31}  # of what is read into memory
FEWEST = 8  # rows of a class and group: halves are halved again
BLOCK = 8_192  # rows per pass
UNIT = 1e-3  # a norm that differs from 1 by more is not that of a unit vector


@dataclass(frozen=True)
class Bundle:
    """Checked embeddings. `image` has the file's own numbers; `rows` gives unit vectors."""

    image: Any  # (N, D), an array or tensor, perhaps memory-mapped
    label: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]
    background: Int[np.ndarray, " N"]  # each class and group has one of its own for its unnamed and rare ones
    text: Float[np.ndarray, "K T D"]  # unit vectors
    text_background: Float[np.ndarray, "A D"] | None
    train: Bool[np.ndarray, " N"] | None
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.text)

    def rows(self, chosen: slice | Int[np.ndarray, " n"]) -> Float[np.ndarray, "n D"]:
        """Unit image embeddings, float32."""
        return _unit(_floats(self.image[chosen])).astype(np.float32, copy=False)


def read(path: Path) -> dict[str, Any]:
    """The arrays of a file by name; unchecked."""
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".npz": _read_npz,
        ".safetensors": _read_safetensors,
        ".csv": _read_csv,
    }
    kind = path.suffix.lower()
    if not path.exists():
        raise RequestError(f"{str(path)!r} does not exist")
    if not path.is_dir() and kind not in readers:
        raise RequestError(f"{str(path)!r} is not a folder of .npy files, and not {', '.join(readers)}")
    if path.is_file() and path.stat().st_size > MOST_BYTES.get(kind, np.inf):
        raise RequestError(
            f"{str(path)!r} has more than {MOST_BYTES[kind] / 2**30:.0f} GiB; write .safetensors instead"
        )
    try:
        arrays = _read_folder(path) if path.is_dir() else readers[kind](path)
    except OSError as error:
        raise RequestError(f"{str(path)!r} cannot be read ({error.strerror or error})") from error
    if not set(arrays) & set(ARRAYS):
        raise RequestError(f"{str(path)!r} has none of the arrays {', '.join(ARRAYS)}")
    return arrays


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive")
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {}
            for name in (name for name in ARRAYS if name in file.files):
                member = file.zip.getinfo(f"{name}.npy")
                if member.file_size > MOST_BYTES[".npz"]:  # compressed, it may be far smaller
                    raise ValueError(f"{name} takes {member.file_size / 2**30:.0f} GiB; write .safetensors instead")
                arrays[name] = file[name]
            return arrays
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, MemoryError) as error:
        raise RequestError(f"{str(path)!r} is not a readable .npz file of numbers and names ({error})") from error


def _read_folder(path: Path) -> dict[str, Any]:
    arrays = {}
    for name in ARRAYS:
        if (file := path / f"{name}.npy").exists():
            try:
                arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError) as error:
                raise RequestError(
                    f"{str(file)!r} is not a readable .npy file of numbers or names ({error})"
                ) from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open  # start-up time

    try:
        with safe_open(path, framework="pt") as file:  # tensors of this framework are memory-mapped
            return {name: file.get_tensor(name) for name in file.keys() if name in ARRAYS}  # noqa: SIM118
    except SafetensorError as error:
        raise RequestError(f"{str(path)!r} is not a readable .safetensors file ({error})") from error


def _read_csv(path: Path) -> dict[str, Any]:
    import pandas as pd  # start-up time

    try:
        table = pd.read_csv(path, keep_default_na=False, low_memory=False)
        if "array" not in table:
            raise ValueError("it has no column 'array', which says image, text or text_background")
        coordinates = [column for column in table if column not in ("array", *PER_ROW)]
        numbers = table[coordinates].astype(float).to_numpy()
        arrays: dict[str, Any] = {name: numbers[table["array"] == name] for name in KINDS}
        arrays = {name: rows for name, rows in arrays.items() if len(rows)}
        photos, prompts = (table[table["array"] == name] for name in ("image", "text"))
        arrays |= {
            name: photos[name].to_numpy(dtype=str) for name in PER_ROW if name in table and (photos[name] != "").any()
        }
        if "label" in arrays and len(prompts):
            arrays["label"] = arrays["label"].astype(float).astype(int)
            arrays["text"] = _stacked(arrays["text"], prompts["label"].astype(float).astype(int).to_numpy())
    except (ValueError, KeyError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise RequestError(f"{str(path)!r} is not a readable CSV file of embeddings ({error})") from error
    return arrays


def _stacked(rows: Float[np.ndarray, "n D"], label: Int[np.ndarray, " n"]) -> Float[np.ndarray, "K T D"]:
    """Prompts by class."""
    counts = np.bincount(label)
    if len(set(counts.tolist())) != 1:
        raise ValueError("its classes have different numbers of text rows, or class 0 has none")
    return rows[np.argsort(label, kind="stable")].reshape(len(counts), counts[0], -1)


def checked(arrays: dict[str, Any], what: str = "embeddings") -> Bundle:
    """The bundle of these arrays. Raises RequestError, one sentence, for arrays that contradict each other."""

    def refuse(sentence: str) -> None:
        raise RequestError(f"{what}: {sentence}")

    for name in arrays:
        if name not in ARRAYS:
            refuse(f"array {name!r} is not one of {', '.join(ARRAYS)}{suggestion(name, ARRAYS)}")
    for name in REQUIRED:
        if arrays.get(name) is None:
            refuse(f"the array {name!r} is missing; it needs {', '.join(REQUIRED)} and group or background")
    given = {name: array for name, array in arrays.items() if array is not None}
    image = given.pop("image")
    image = image if isinstance(image, torch.Tensor) else np.asanyarray(image)
    given = {name: _numpy(array) for name, array in given.items()}
    if image.ndim != 2 or not 1 <= len(image) <= MOST_ROWS or not 2 <= image.shape[1] <= MOST_DIMENSIONS:
        refuse(
            f"image has shape {tuple(image.shape)}; expected N x D with at most {MOST_ROWS:,} rows of 2 to "
            f"{MOST_DIMENSIONS:,} coordinates"
        )
    N, D = image.shape
    numbers = {"image": image, **{name: given[name] for name in KINDS if name in given}}
    if numbers["text"].ndim == 2:
        numbers["text"] = numbers["text"][:, None]
    for name, (dimensions, shape) in {"text": (3, "K x D or K x T x D"), "text_background": (2, "A x D")}.items():
        array = numbers.get(name)
        if array is not None and (array.ndim != dimensions or array.shape[-1] != D or not array.size):
            refuse(f"{name} has shape {given[name].shape}; expected {shape} with D = {D}, as image has")
    for name in PER_ROW:
        if name in given and given[name].shape != (N,):
            refuse(f"{name} has shape {given[name].shape}; expected {N} entries, one per row of image")
    for name, array in numbers.items():
        if not isinstance(array, torch.Tensor) and array.dtype.kind not in KINDS[name]:
            refuse(f"{name} holds {array.dtype}; expected floating-point numbers")
    text = numbers["text"]
    K = len(text)
    if not 2 <= K <= MOST_CLASSES:
        refuse(f"text has {K} classes; expected 2 to {MOST_CLASSES:,}")
    label = given["label"]
    if label.dtype.kind not in "iu" or label.min() < 0:
        refuse(f"label holds {label.dtype if label.dtype.kind not in 'iu' else label.min()}; expected integers from 0")
    label = label.astype(np.int64)
    if label.max() >= K:
        refuse(f"label goes up to {label.max()}, so text needs {label.max() + 1} classes and has {K}")
    off = _check_numbers(numbers, refuse)
    train = None if "split" not in given else _coded(given["split"], SPLITS, "split", refuse) == 0
    names = tuple(map(str, given["names"])) if "names" in given else tuple(map(str, range(K)))
    if len(names) != K:
        refuse(f"names has {len(names)} entries; expected {K}, one per class of text")
    common, background = _groups(given, label, train, refuse)
    prompts, captions = _unit(text.astype(float)), given.get("text_background")
    captions = None if captions is None else _unit(captions.astype(float))
    if (opposed := np.linalg.norm(prompts.mean(axis=1), axis=1) < UNIT).any():
        refuse(f"the prompts of class {int(opposed.argmax())} cancel, so their mean has no direction")
    bundle = Bundle(image, label, common, background, prompts, captions, train, names, off)
    _check_counts(bundle, refuse)
    return bundle


def _check_numbers(numbers: dict[str, Any], refuse: Callable[[str], None]) -> tuple[str, ...]:
    """Notes on rows that are not unit vectors; refuses rows that are not finite or have equal coordinates."""
    notes = []
    for name, array in numbers.items():
        flat = array if name == "image" else array.reshape(-1, array.shape[-1])
        off, first, varies = 0, None, False
        for start in range(0, len(flat), BLOCK):
            rows = _floats(flat[start : start + BLOCK])
            first = rows[0] if first is None else first
            finite = np.isfinite(rows).all(axis=1)
            if not finite.all():
                refuse(f"row {start + int(finite.argmin())} of {name} is not finite")
            constant = np.ptp(rows, axis=1) == 0
            if constant.any():
                refuse(f"row {start + int(constant.argmax())} of {name} is constant, so it has no direction")
            off += int((np.abs(np.linalg.norm(rows.astype(float), axis=1) - 1) > UNIT).sum())
            varies |= bool((rows != first).any())
        if len(flat) > 1 and not varies:
            refuse(f"all rows of {name} are equal")
        if off:
            notes.append(f"{off:,} of {len(flat):,} rows of {name} are not unit vectors and are normalised")
    return tuple(notes)


def _groups(given: dict[str, np.ndarray], label: np.ndarray, train: np.ndarray | None, refuse: Callable[[str], None]):
    """(common, background) of each row."""
    if "group" not in given and "background" not in given:
        refuse("neither group nor background is given; one of them must say which rows are common")
    if "background" in given:
        background = np.unique(given["background"], return_inverse=True)[1].astype(np.int64)
        cells = np.unique(np.column_stack([label, background]), axis=0, return_inverse=True)
    if "group" in given:
        common = _coded(given["group"], GROUPS, "group", refuse) == 0
        if "background" not in given:
            return common, 2 * label + ~common
        n, k = np.bincount(cells[1]), np.bincount(cells[1], weights=common).astype(int)
        if (mixed := (k > 0) & (k < n)).any():
            at = int(mixed.argmax())
            y, b = cells[0][at]
            shown = np.unique(given["background"])[b]
            refuse(
                f"group contradicts background: class {y} on background {shown!s} is common in {k[at]} rows and "
                f"counter in {n[at] - k[at]}"
            )
    else:
        counts = np.zeros((label.max() + 1, background.max() + 1), dtype=int)
        counted = slice(None) if train is None else train
        np.add.at(counts, (label[counted], background[counted]), 1)
        common = counts[label, background] == counts.max(axis=1)[label]
    # Heads and law are fitted to halves of halves, so rare backgrounds of a class and group are taken together.
    answered = np.ones(len(label), bool) if train is None else ~train
    rare = np.bincount(cells[1], weights=answered)[cells[1]] < FEWEST
    return common, np.where(rare, background.max() + 1 + 2 * label + ~common, background)


def _check_counts(bundle: Bundle, refuse: Callable[[str], None]) -> None:
    """Refuse a class with too few rows in a group, among those that are fitted or those that are scored."""
    parts = {"": np.ones(len(bundle.label), bool)}
    if bundle.train is not None:
        parts = {"train ": bundle.train, "test ": ~bundle.train}
    for words, chosen in parts.items():
        for group, member in zip(GROUPS, (bundle.common, ~bundle.common), strict=True):
            n = np.bincount(bundle.label[chosen & member], minlength=bundle.classes)
            least = 2 if words == "train " else FEWEST
            if (n < least).any():
                y = int((n < least).argmax())
                found = f"{n[y]} {words}rows in the {group} group" if n[y] else f"no {words}rows in the {group} group"
                refuse(f"class {y} has {found}; expected {least} or more")


def _coded(values: np.ndarray, words: tuple[str, str], name: str, refuse: Callable[[str], None]) -> np.ndarray:
    """0 or 1 for two words, or for the numbers 0 and 1."""
    text = np.char.strip(values.astype(str)) if values.dtype.kind in "USiu" else np.array(["?"])
    codes = {words[0]: 0, words[1]: 1, "0": 0, "1": 1}
    if strange := sorted(set(np.unique(text).tolist()) - set(codes)):
        refuse(f"{name} holds {strange[0]!r}; expected {words[0]} or {words[1]}")
    found, where = np.unique(text, return_inverse=True)
    return np.array([codes[word] for word in found.tolist()])[where]


def _numpy(array: Any) -> np.ndarray:
    """A small array; bytes become text."""
    if isinstance(array, torch.Tensor):
        return array.detach().cpu().to(torch.float32 if array.dtype == torch.bfloat16 else array.dtype).numpy()
    array = np.asarray(array)
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _floats(rows: Any) -> np.ndarray:
    """A block of rows as float32 or float64."""
    if isinstance(rows, torch.Tensor):
        rows = _numpy(rows)
    return rows if rows.dtype in (np.float32, np.float64) else np.asarray(rows, np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
