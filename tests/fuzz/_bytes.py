"""Damage to bytes: what disks, networks and attackers do to them, drawn from a seeded generator."""

import re

import numpy as np

_INTEGERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    100,
    127,
    128,
    255,
    256,
    4096,
    2**15,
    2**16,
    2**20,
    2**31,
    2**32,
    2**63,
]
_WORDS = [
    b"0", b"-1", b"1e999", b"-0", b"NaN", b"Infinity", b"1.5", b"65536", b"2147483648", b"9" * 19, b"9" * 400,
    b"null", b"true", b"[]", b"{}", b'""', b"[" * 200, b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"\n", b" ",
    b",", b'"', b"..", b"/", b"~", b"#", b"%s", b"{}",
]  # fmt: skip


def damaged(data, rng, others=(b"",)):
    """Bytes with one to eight changes; `others` are pieced into them."""
    data = bytearray(data)
    for _ in range(2 ** int(rng.integers(4))):
        _CHANGES[rng.integers(len(_CHANGES))](data, rng, others[rng.integers(len(others))])
    return bytes(data)


def damaged_behind(kept, data, rng, others=(b"",)):
    """A file in the layout of safetensors that is damaged behind its first `kept` bytes.

    In most cases either in the header, whose length is then told right, or behind it.
    """
    stop = 8 + int.from_bytes(data[:8], "little")
    header, tensors = data[kept:stop], data[stop:]
    if rng.random() < 0.3:
        return data[:kept] + damaged(header + tensors, rng, others)
    if rng.random() < 0.5:
        header = damaged(header, rng, others)
    else:
        tensors = damaged(tensors, rng, others)
    return (kept - 8 + len(header)).to_bytes(8, "little") + data[8:kept] + header + tensors


def _place(data, rng):
    """Anywhere, in half of the cases rather at the beginning, where headers are."""
    if rng.random() < 0.5:
        return int(rng.integers(len(data) + 1))
    return min(len(data), int(2 ** rng.uniform(0, np.log2(len(data) + 2))) - 1)


def _part(data, rng):
    start = _place(data, rng)
    return slice(start, start + int(2 ** rng.uniform(0, 9)))


def _flip(data, rng, other):
    if data:
        data[_place(data, rng) % len(data)] ^= 1 << int(rng.integers(8))


def _truncate(data, rng, other):
    del data[_place(data, rng) :]


def _remove(data, rng, other):
    del data[_part(data, rng)]


def _insert(data, rng, other):
    data[(start := _place(data, rng)) : start] = rng.bytes(int(2 ** rng.uniform(0, 5)))


def _repeat(data, rng, other):
    part = _part(data, rng)
    data[part] = bytes(data[part]) * int(rng.integers(2, 9))


def _blank(data, rng, other):
    part = _part(data, rng)
    data[part] = bytes([[0, 255, 32][rng.integers(3)]]) * len(data[part])


def _splice(data, rng, other):
    part = _part(other, rng)
    data[part if rng.random() < 0.5 else _part(data, rng)] = other[part]


def _change_tails(data, rng, other):
    data[_place(data, rng) :] = other[_place(other, rng) :]


def _integer(data, rng, other):
    size, order = 2 ** int(rng.integers(4)), ["little", "big"][rng.integers(2)]
    number = (_INTEGERS[rng.integers(len(_INTEGERS))] - int(rng.integers(2))) % 2 ** (8 * size)
    start = _place(data, rng)
    data[start : start + size] = number.to_bytes(size, order)


def _word(data, rng, other):
    """A number or another word of a text, or any place, becomes one that parsers may stumble over."""
    found = [match.span() for match in re.finditer(rb"[\w.+-]+", bytes(data[: 2**14]))]
    start, stop = found[rng.integers(len(found))] if found else (_place(data, rng),) * 2
    data[start:stop] = _WORDS[rng.integers(len(_WORDS))]


_CHANGES = [
    _flip, _flip, _truncate, _remove, _insert, _repeat, _blank, _splice, _change_tails, _integer, _integer,
    _word,
]  # fmt: skip
