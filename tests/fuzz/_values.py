"""Damage to JSON values and arrays: parts removed, renamed, doubled, exchanged, or of another kind."""

import copy

import numpy as np

_STRANGE = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), 2**31, 2**63,
    10**400, "", "x", "a" * 300, "\0", "\ud800", "日本語", "../..", "/dev/zero", "~", "unknown", "auto",
    "cpu", "cuda:7", "MCMDetector", "ScoreEnsemble", [], {}, [[]], [None], ["a", "a"], [0, 1], [1.0, 2.0],
    {"$": None}, {"$": "tuple", "items": []}, {"$": "map", "items": [[1, 2]]}, {"$": "path", "path": "a"},
    {"$": "scalar", "type": "float32", "value": 1}, {"$": "function", "name": "f"},
    {"$": "strings", "shape": [2], "width": 1, "items": ["a", "b"]},
]  # fmt: skip
_TYPES = ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]
_NUMBERS = [0, 1, -1, np.nan, np.inf, -np.inf, 1e-40, 6e4, 3e38]


def spoiled(value, rng):
    """A copy of a JSON value with one to four changes."""
    whole = [copy.deepcopy(value)]
    for _ in range(2 ** int(rng.integers(3))):
        _change(*_place(whole, rng), whole, rng)
    return whole[0]


def _place(whole, rng):
    """What holds a part, and its key there: of long lists no more than of short ones."""
    holder, key = whole, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = keys[rng.integers(len(keys))]
    return holder, key


def _change(holder, key, whole, rng):
    part, (other_holder, other_key) = holder[key], _place(whole, rng)
    change = rng.integers(7)
    if change == 0 and holder is not whole:
        del holder[key]
    elif change == 1 and isinstance(holder, dict):
        holder[str(other_key)] = holder.pop(key)
    elif change == 2 and isinstance(holder, list) and holder is not whole:
        holder[key:key] = [part] * int(rng.integers(1, 4))
    elif change == 3:
        holder[key] = copy.deepcopy(other_holder[other_key])
    elif change == 4 and type(part) in (int, float) and abs(part) < 2**64:
        holder[key] = part * [-1, 0, 2, 0.5, 1000][rng.integers(5)] + int(rng.integers(-1, 2))
    elif change == 5:
        holder[key] = [part] if rng.random() < 0.5 else str(part)
    else:
        holder[key] = copy.deepcopy(_STRANGE[rng.integers(len(_STRANGE))])


def spoiled_arrays(arrays, rng):
    """The same arrays by name, one of them changed."""
    arrays, names = dict(arrays), sorted(arrays)
    if not names:
        return arrays
    name, other = (names[rng.integers(len(names))] for _ in range(2))
    array, change = np.array(arrays.pop(name)), rng.integers(8)
    with np.errstate(all="ignore"):
        if change == 0:
            return arrays
        if change == 1:
            name += "x"
        elif change == 2:
            array = np.array(arrays.get(other, array))
        elif change == 3:
            array = array.astype(_TYPES[rng.integers(len(_TYPES))])
        elif change == 4:
            array = [array.ravel(), array[None], array.T, array.reshape(*array.shape, 1)][rng.integers(4)]
        elif change == 5 and array.ndim:
            array = array[: int(rng.integers(len(array) + 1))]
        elif change == 6 and array.ndim:
            array = np.concatenate([array, array])
        elif array.size:
            some = rng.random(array.shape) < rng.choice([0.01, 1])
            number = _NUMBERS[rng.integers(len(_NUMBERS))]
            array[some] = number if array.dtype.kind == "f" else int(rng.integers(-2, 300)) % 256 > 0
    return {**arrays, name: np.ascontiguousarray(array).reshape(array.shape)}
