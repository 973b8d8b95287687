"""One model's embeddings with labels and groups, from a file or from arrays, checked once.

README.md lists the arrays. A file is .npz or .safetensors. Nothing in a file is executed. Image
rows of .safetensors stay on disk.
"""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open

from experiments.errors import RequestError, unknown
from experiments.heads.gaussian_law import sample
from experiments.results import GROUPS
from simulator.streams import numpy_stream

REQUIRED = ("image", "label")
PER_ROW = ("label", "group", "background", "split")
ARRAYS = (*REQUIRED, "text", "group", "background", "text_background", "caption", "split", "names")
MAPPED = ("image", "caption")  # arrays that may stay on disk
SPLITS = ("train", "test")
# numpy's kinds of numbers
KINDS = {"image": "fiu", "text": "f", "text_background": "f", "caption": "f"}
MOST_ROWS, MOST_DIMENSIONS, MOST_CLASSES = 5_000_000, 16_384, 1_000
MOST_BYTES = 2**35  # of an .npz, which is read into memory
FEWEST = 8  # rows of a class and group, half of which are fitted
BLOCK = 8_192  # rows per pass
UNIT = 1e-3  # a norm that differs from 1 by more is not that of a unit vector


@dataclass(frozen=True)
class Bundle:
    """Checked embeddings. `image` has the file's own numbers; `rows` gives unit vectors."""

    image: Any  # (N, D), an array or tensor, perhaps memory-mapped
    label: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]
    # each class and group has one of its own for its unnamed and rare ones
    background: Int[np.ndarray, " N"]
    # test rows of a class and background without training rows; in no group
    unseen: Bool[np.ndarray, " N"]
    text: Float[np.ndarray, "K T D"] | None  # unit vectors
    text_background: Float[np.ndarray, "A D"] | None
    caption: Any | None  # (N, E), as `image`
    train: Bool[np.ndarray, " N"] | None
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def cell(self) -> Int[np.ndarray, "N 2"]:
        """(class, background) of each row."""
        return np.column_stack([self.label, self.background])

    @property
    def train_correlation(self) -> float | None:
        """The share of common rows among those marked train, mean over classes."""
        if self.train is None:
            return None
        label = self.label[self.train]
        common = self.common[self.train]
        return float((np.bincount(label, common) / np.bincount(label)).mean())

    def part(self, chosen: Int[np.ndarray, " n"]) -> "Bundle":
        """These rows without their captions and split, as unit vectors in memory."""
        own = {
            name: getattr(self, name)[chosen]
            for name in ("label", "common", "background", "unseen")
        }
        return replace(self, image=self.rows(chosen), caption=None, train=None, **own)

    def some(
        self, rows: Int[np.ndarray, " n"], most: int, seed: int, stream: str
    ) -> Int[np.ndarray, " m"]:
        """At most so many of the rows, in order. Each class and group stays large enough to be
        halved.
        """
        return rows[sample(self.cell[rows], most, FEWEST // 2, numpy_stream(seed, stream))]

    def rows(
        self, chosen: slice | Int[np.ndarray, " n"], view: str = "image"
    ) -> Float[np.ndarray, "n D"]:
        """Unit embeddings of images or captions, float32."""
        return _unit(_floats(getattr(self, view)[chosen])).astype(np.float32, copy=False)


def read(path: Path) -> dict[str, Any]:
    """The arrays of a file by name; unchecked."""
    kind = path.suffix.lower()
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if not path.exists():
        raise RequestError(f"{str(path)!r} does not exist")
    if kind not in readers:
        raise RequestError(
            f"{str(path)!r} is not a file of embeddings; expected {' or '.join(readers)}"
        )
    try:
        arrays = readers[kind](path)
    except OSError as error:
        raise RequestError(f"{str(path)!r} cannot be read ({error.strerror or error})") from error
    except (
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        SafetensorError,
    ) as error:
        raise RequestError(
            f"{str(path)!r} is not a readable {kind} file of embeddings ({error})"
        ) from error
    if not arrays:
        raise RequestError(f"{str(path)!r} has none of the arrays {', '.join(ARRAYS)}")
    return arrays


def _read_npz(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive")
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        names = [name for name in ARRAYS if name in file.files]
        # compressed, it may be far smaller
        size = sum(file.zip.getinfo(f"{name}.npy").file_size for name in names)
        if size > MOST_BYTES:
            raise ValueError(f"its arrays take {size / 2**30:.0f} GiB; write .safetensors instead")
        return {name: file[name] for name in names}


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:  # tensors of this framework are memory-mapped
        return {name: file.get_tensor(name) for name in file.keys() if name in ARRAYS}  # noqa: SIM118


def checked(arrays: dict[str, Any], what: str = "embeddings") -> Bundle:
    """The bundle of these arrays. Raises RequestError, one sentence, for arrays that contradict
    each other.
    """
    try:
        return _checked(arrays)
    except RequestError as error:
        raise RequestError(f"{what}: {error}") from error


def _checked(arrays: dict[str, Any]) -> Bundle:
    for name in arrays:
        if name not in ARRAYS:
            raise unknown("array", name, ARRAYS)
    for name in REQUIRED:
        if arrays.get(name) is None:
            raise RequestError(
                f"the array {name!r} is missing; it needs {', '.join(REQUIRED)} and group or"
                " background"
            )
    arrays = {name: _array(name, array) for name, array in arrays.items() if array is not None}
    image, label = arrays["image"], arrays["label"]
    N, D = image.shape if image.ndim == 2 else (0, 0)
    text = arrays.get("text", np.zeros((2, D)))
    captions = arrays.get("text_background", np.zeros((2, D)))
    caption = arrays.get("caption", np.zeros((N, 2)))
    most = f"at most {MOST_ROWS:,} rows of 2 to {MOST_DIMENSIONS:,} coordinates"
    as_image = f"with D = {D}, as image has"
    shapes = [
        ("image", 1 <= N <= MOST_ROWS and 2 <= D <= MOST_DIMENSIONS, f"N x D with {most}"),
        (
            "text",
            text.ndim in (2, 3) and text.shape[-1] == D and text.size,
            f"K x D or K x T x D {as_image}",
        ),
        (
            "text_background",
            captions.shape[1:] == (D,) and len(captions) > 1,
            f"A x D {as_image}, and 2 rows or more",
        ),
        (
            "caption",
            caption.ndim == 2 and len(caption) == N and caption.shape[1] > 1,
            f"N x D, {N} rows as image has",
        ),
    ]
    per_row = f"{N} entries, one per row of image"
    shapes += [(name, arrays[name].shape == (N,), per_row) for name in PER_ROW if name in arrays]
    for name, good, expected in shapes:
        if not good:
            raise RequestError(f"{name} has shape {tuple(arrays[name].shape)}; expected {expected}")
    numbers = {name: arrays[name] for name in KINDS if name in arrays}
    for name, array in numbers.items():
        if not isinstance(array, torch.Tensor) and array.dtype.kind not in KINDS[name]:
            raise RequestError(f"{name} holds {array.dtype}; expected floating-point numbers")
    if label.dtype.kind not in "iu" or label.min() < 0:
        wrong = label.min() if label.dtype.kind in "iu" else label.dtype
        raise RequestError(f"label holds {wrong}; expected integers from 0")
    largest = int(label.max())  # of 64 bits: one more may not fit into the label's own type
    K = len(text) if "text" in arrays else largest + 1
    if not 2 <= K <= MOST_CLASSES:
        raise RequestError(
            f"{'text' if 'text' in arrays else 'label'} has {K} classes; expected 2 to"
            f" {MOST_CLASSES:,}"
        )
    if largest >= K:
        raise RequestError(
            f"label goes up to {largest}, so text needs {largest + 1} classes and has {K}"
        )
    label = label.astype(np.int64)
    notes = _check_numbers(numbers)
    train = None if "split" not in arrays else _coded(arrays["split"], SPLITS, "split") == 0
    names = tuple(map(str, arrays.get("names", range(K))))
    if len(names) != K:
        raise RequestError(f"names has {len(names)} entries; expected {K}, one per class")
    prompts = _prompts(text.astype(float).reshape(K, -1, D)) if "text" in arrays else None
    alone = _unit(captions.astype(float)) if "text_background" in arrays else None
    common, background, unseen, more = _groups(arrays, label, train)
    own = arrays.get("caption")
    bundle = Bundle(
        image, label, common, background, unseen, prompts, alone, own, train, names, notes + more
    )
    _check_counts(bundle)
    return bundle


def _prompts(text: Float[np.ndarray, "K T D"]) -> Float[np.ndarray, "K T D"]:
    """Unit prompts, whose mean must have a direction and tell classes apart."""
    prompts = _unit(text)
    if (opposed := np.linalg.norm(prompts.mean(axis=1), axis=1) < UNIT).any():
        raise RequestError(
            f"the prompts of class {int(opposed.argmax())} cancel, so their mean has no direction"
        )
    if np.ptp(_unit(prompts.mean(axis=1)), axis=0).max() < UNIT**2:
        raise RequestError(
            "the prompts of all classes have one mean, so they tell no class from another"
        )
    return prompts


def _check_numbers(numbers: dict[str, Any]) -> tuple[str, ...]:
    """Notes on rows that are not unit vectors; refuses rows that are not finite or have equal
    coordinates.
    """
    notes = []
    for name, array in numbers.items():
        flat = array if name in MAPPED else array.reshape(-1, array.shape[-1])
        off = 0
        first = _floats(flat[:1])
        varies = False
        for start in range(0, len(flat), BLOCK):
            rows = _floats(flat[start : start + BLOCK])
            length = np.linalg.norm(rows.astype(float), axis=1)
            for wrong, words in (
                (~np.isfinite(length), "not finite"),
                (
                    (rows == rows[:, :1]).all(axis=1) | (length == 0),
                    "constant, so it has no direction",
                ),
            ):
                if wrong.any():
                    raise RequestError(f"row {start + int(wrong.argmax())} of {name} is {words}")
            off += int((np.abs(length - 1) > UNIT).sum())
            varies |= bool((rows != first).any())
        if len(flat) > 1 and not varies:
            raise RequestError(f"all rows of {name} are equal")
        if off:
            notes.append(
                f"{off:,} of {len(flat):,} rows of {name} are not unit vectors and are normalised"
            )
    return tuple(notes)


def _groups(
    arrays: dict[str, Any], label: Int[np.ndarray, " N"], train: Bool[np.ndarray, " N"] | None
) -> tuple[Bool[np.ndarray, " N"], Int[np.ndarray, " N"], Bool[np.ndarray, " N"], tuple[str, ...]]:
    """(common, background, unseen) of each row, and notes."""
    if "group" not in arrays and "background" not in arrays:
        raise RequestError(
            "neither group nor background is given; one of them must say which rows are common"
        )
    common = _coded(arrays["group"], GROUPS, "group") == 0 if "group" in arrays else None
    unseen = np.zeros(len(label), bool)
    notes = ()
    if "background" not in arrays:
        return common, 2 * label + ~common, unseen, notes
    if arrays["background"].dtype.kind not in "USiub":
        raise RequestError(
            f"background holds {arrays['background'].dtype}; expected integers or names"
        )
    called, background = np.unique(arrays["background"], return_inverse=True)
    cells, cell = np.unique(np.column_stack([label, background]), axis=0, return_inverse=True)
    fitted = np.bincount(cell, weights=train)  # rows of each cell that heads may be fitted to
    new = fitted[cell] == 0
    if common is not None:
        n = np.bincount(cell)
        k = np.bincount(cell, weights=common).astype(int)
        if (mixed := (k > 0) & (k < n)).any():
            at = int(mixed.argmax())
            y, b = cells[at]
            counts = f"common in {k[at]} rows and counter in {n[at] - k[at]}"
            raise RequestError(
                f"group contradicts background: class {y} on background {called[b]!s} is {counts}"
            )
        if new.any():
            notes = (
                (
                    f"{new.sum():,} rows show a class on a background that no training row of the"
                    " class shows"
                ),
            )
    else:
        most = np.zeros(label.max() + 1)
        np.maximum.at(most, cells[:, 0], fitted)
        common = (fitted[cell] == most[label]) & ~new
        unseen = new
        if unseen.any():
            words = (
                f"{unseen.sum():,} rows are unseen: no training row shows their class on their"
                " background"
            )
            notes = (f"{words}; they are neither common nor counter",)
    # Heads are fitted to halves, so rare backgrounds of a class and group are taken together.
    answered = ~unseen if train is None else ~train & ~unseen
    rare = np.bincount(cell, weights=answered)[cell] < FEWEST
    return common, np.where(rare, len(called) + 2 * label + ~common, background), unseen, notes


def _check_counts(bundle: Bundle) -> None:
    """Refuse a class with too few rows in a group, among those that are fitted or those that are
    scored.
    """
    parts = [("", ~bundle.unseen, FEWEST)]
    if bundle.train is not None:
        parts = [("train ", bundle.train, 2), ("test ", ~bundle.train & ~bundle.unseen, FEWEST)]
    for words, chosen, least in parts:
        for group, member in zip(GROUPS, (bundle.common, ~bundle.common), strict=True):
            n = np.bincount(bundle.label[chosen & member], minlength=bundle.classes)
            if (few := n < least).any():
                y = int(few.argmax())
                rows = f"{n[y] or 'no'} {words}rows in the {group} group"
                raise RequestError(f"class {bundle.names[y]} has {rows}; expected {least} or more")


def _coded(values: np.ndarray, words: tuple[str, str], name: str) -> Int[np.ndarray, " N"]:
    """0 or 1 for two words, or for the numbers 0 and 1."""
    text = (
        np.char.strip(values.astype(str))
        if values.dtype.kind in "Uiu"
        else np.array([f"{values.dtype} numbers"])
    )
    code = np.select([np.isin(text, (words[i], str(i))) for i in (0, 1)], [0, 1], default=-1)
    if (strange := code < 0).any():
        word = str(text[strange.argmax()])
        raise RequestError(
            f"{name} holds {word!r}; expected {words[0]} or {words[1]}, or the integers 0 and 1"
        )
    return code


def _array(name: str, array: Any) -> Any:
    """An array of numpy, in which bytes become text; tensors that may stay on disk remain
    tensors.
    """
    if isinstance(array, torch.Tensor):
        return array if name in MAPPED else _numpy(array)
    array = np.asanyarray(array)
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _numpy(array: torch.Tensor) -> np.ndarray:
    return (
        array.detach()
        .cpu()
        .to(torch.float32 if array.dtype == torch.bfloat16 else array.dtype)
        .numpy()
    )


def _floats(rows: Any) -> np.ndarray:
    """A block of rows as float32 or float64."""
    if isinstance(rows, torch.Tensor):
        rows = _numpy(rows)
    return rows if rows.dtype in (np.float32, np.float64) else np.asarray(rows, np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
