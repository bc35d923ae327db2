"""Odd tables: spoiled bytes, values, structure, formats and paths, for corpora and frames alike."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fr_ensemble_tests.attack.case import Case, Maker, Must
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.rows import TEXT, Flavour, Invalid, difference, read, valid

Row = dict[str, Any]
#: Records of what was read: rows as dicts.
ReadRows = Callable[[Any], Sequence[Row]]
Bytes = Callable[[random.Random, bytes], bytes]
Edit = Callable[[random.Random, list[Row]], None]

DEEP = "[" * 100_000
ODD_VALUES: tuple[Any, ...] = (
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        -1,
        1e308,
        -1e308,
        10**400,
        2**53,
        2**53 + 1,
        2**64,
    ),
    *(-0.0, 1e-320, 0.5, 100.0000001, None, True, False, "", " ", "x", "95", "NaN", [], [1], {}),
    *({"a": {"b": [None]}}, "\ud800", "\udfff\ud800", "a\x00b", "\x1b[31mred\x1b[0m", "a\nb\rc"),
    *("\u202eevil", "\u2028", "é", "e\u0301", "\U0001f600", "x" * 70_000, "../../etc", "a/b", "\\"),
)
ODD_NUMBERS = (
    *("1e400", "-1e400", "01", "1.", "+1", ".5", "1e", "0x1F", "1_000", "NaN", "Infinity", "nan"),
    *("-Infinity", "1e-400", "-0", "-0.0", "1E1", "99.999999999999999999999999", "inf", "--1"),
    *(
        "0.1e1",
        "1e+1",
        "1.0e-1",
        "9007199254740993",
        "12345678901234567890123",
        "½",
        "\uff11",
        "1,0",
    ),
)
ODD_KEYS = (
    *(
        "",
        " ",
        "\x1b[31mkey",
        "a\nb",
        "\u202ekey",
        "\ud800",
        "x" * 5000,
        "src ",
        "SRC",
        "__proto__",
    ),
    *("vmaf\x00", "index", "ключ", "[bold]k[/bold]", ":smile:", "a" * 40_000),
)


def jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def judged(
    flavour: Flavour, read_rows: ReadRows, target: Path, data: bytes, must: Must = "either"
) -> Case:
    """A file of these bytes, and what the independent reader makes of them."""
    target.write_bytes(data)
    try:
        wanted = read(data, flavour)
    except Invalid as reason:
        return Case(target, "refuse", str(reason))
    return Case(
        target,
        must,
        "the rows are those that an independent reader finds",
        lambda result: difference(read_rows(result), wanted, flavour),
    )


def known(
    flavour: Flavour, read_rows: ReadRows, target: Path, rows: Sequence[Row], must: Must = "either"
) -> Case:
    """A file that was written otherwise, of rows that are known."""
    try:
        wanted = valid(rows, flavour)
    except Invalid as reason:
        return Case(target, "refuse", str(reason))
    return Case(
        target,
        must,
        "the rows are those that were written",
        lambda result: difference(read_rows(result), wanted, flavour),
    )


def base(flavour: Flavour, material: Material) -> list[Row]:
    return [{k: row[k] for k in flavour.columns if k in row} for row in material.few]


# --- bytes -------------------------------------------------------------------------------------


def _flip(chance: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8, 64))):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def _truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def _insert(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    junk = (b"\x00", b"\n", b"{", b"}", b"\xff", b'"', b"\r", b"\xef\xbb\xbf", b"\xc0\x80", b",")
    return data[:at] + chance.choice((*junk, chance.randbytes(9))) + data[at:]


def _cut(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 400) :]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[max(0, at - 300) :]


def _zero(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes(512) + data[at + 512 :]


def _junk_after(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = chance.randrange(len(lines) - 1)
    after = (
        b" x",
        b" {}",
        b",",
        b"]",
        b" // c",
        b"\x00",
        b" null",
        b"\r",
        b" \t",
        b"#",
        b"\xc2\xa0",
    )
    lines[at] += chance.choice(after)
    return b"\n".join(lines)


def _between(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    what = (
        b"",
        b"  ",
        b"\t",
        b"\r",
        b"null",
        b"[]",
        b"{}",
        b"1",
        b'"x"',
        b"\x0c",
        b"\xc2\x85",
        b"[{}]",
    )
    lines.insert(chance.randrange(len(lines)), chance.choice((*what, DEEP.encode())))
    return b"\n".join(lines)


def _number(chance: random.Random, data: bytes) -> bytes:
    """One number written in another way, or in a way that JSON doesn't know."""
    lines = data.decode().split("\n")
    at = chance.randrange(len(lines) - 1)
    row = json.loads(lines[at])
    name = chance.choice([k for k, v in row.items() if not isinstance(v, str)])
    row[name] = "@@"
    lines[at] = json.dumps(row).replace('"@@"', chance.choice(ODD_NUMBERS))
    return "\n".join(lines).encode()


def _key_text(chance: random.Random, data: bytes) -> bytes:
    """A key twice, written with an escape, or without quotes."""
    lines = data.decode().split("\n")
    at = chance.randrange(len(lines) - 1)
    row = json.loads(lines[at])
    name = chance.choice(list(row))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    value = json.dumps(row[name])
    lines[at] = chance.choice(
        (
            lines[at].replace("{", f'{{"{name}": {value}, ', 1),
            lines[at].replace("{", f'{{"{escaped}": 1, ', 1),
            lines[at].replace("{", '{"note": 1, "note": 2, ', 1),
            lines[at].replace(f'"{name}"', f'"{escaped}"', 1),
            lines[at].replace(f'"{name}"', name, 1),
            lines[at].replace(f'"{name}"', f"'{name}'", 1),
        )
    )
    return "\n".join(lines).encode()


def _utf16(chance: random.Random, data: bytes) -> bytes:
    names = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7", "cp500")
    return data.decode().encode(chance.choice(names))


def _latin(chance: random.Random, data: bytes) -> bytes:
    name = chance.choice(("é", "ü", "naïve"))
    return data.decode().replace("bbb", name).encode("latin-1")


def _zipped(chance: random.Random, data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=chance.randrange(10), mtime=0)


def _zipped_then(spoil: Bytes) -> Bytes:
    return lambda chance, data: spoil(chance, gzip.compress(data, mtime=0))


def _zipped_twice(_: random.Random, data: bytes) -> bytes:
    return gzip.compress(gzip.compress(data, mtime=0), mtime=0)


def _zipped_and(chance: random.Random, data: bytes) -> bytes:
    zipped = gzip.compress(data, mtime=0)
    after = (
        b"junk",
        bytes(64),
        zipped,
        zipped[:40],
        gzip.compress(b"", mtime=0),
        b"\x1f\x8b",
        data,
    )
    return zipped + chance.choice(after)


def _pretty(chance: random.Random, data: bytes) -> bytes:
    rows = [json.loads(line) for line in data.splitlines()]
    whole = json.dumps(rows, indent=chance.choice((None, 2)))
    return chance.choice((whole, json.dumps(rows[0], indent=1) + "\n" + whole)).encode()


def _separated(chance: random.Random, data: bytes) -> bytes:
    """Records that another kind of line end separates."""
    return data.replace(
        b"\n", chance.choice((b"\r", b"\r\r\n", b"\x1e", b"\x00", b",\n", b"\n\n\n"))
    )


def _nothing(chance: random.Random, _: bytes) -> bytes:
    return chance.choice(
        (b"", b"\n", b" ", b"\x00", b"\xef\xbb\xbf", b"{}\n", b"{}" * 999, b"\x1f\x8b")
    )


_MAGIC = (
    *(b"PAR1", b"PARE", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"ARROW1\x00\x00"),
    *(
        b"BZh9",
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\x00",
        b"SQLite format 3\x00",
        b"\x80\x04",
        b"<html>",
    ),
)


def _other_file(chance: random.Random, _: bytes) -> bytes:
    return chance.choice(_MAGIC) + chance.randbytes(chance.choice((0, 30, 4000)))


def _good_bytes(chance: random.Random, data: bytes) -> bytes:
    """The same rows, in another dress that JSON Lines allow."""
    rows = [json.loads(line) for line in data.splitlines()]
    chance.shuffle(rows)
    return chance.choice(
        (
            b"\xef\xbb\xbf" + data,
            data.replace(b"\n", b"\r\n"),
            data.replace(b"\n", b"\n\n"),
            data.rstrip(b"\n"),
            data + data,
            jsonl([{k: row[k] for k in reversed(row)} for row in rows]),
            jsonl([row | {"note": {"a": [1]}, "bpp": 1} for row in rows]),
            "".join(f"\t{json.dumps(row, separators=(',', ':'))} \n" for row in rows).encode(),
            gzip.compress(data[:5000], mtime=0) + gzip.compress(data[5000:], mtime=0),
        )
    )


_BYTES: tuple[tuple[str, Bytes], ...] = (
    ("flipped bits", _flip),
    ("truncated", _truncate),
    ("inserted bytes", _insert),
    ("cut out", _cut),
    ("a piece twice", _repeat),
    ("a hole of zeros", _zero),
    ("junk after a line", _junk_after),
    ("a line between", _between),
    ("odd number", _number),
    ("odd number again", _number),
    ("odd key", _key_text),
    ("UTF-16 and others", _utf16),
    ("Latin-1", _latin),
    ("gzip", _zipped),
    ("truncated gzip", _zipped_then(_truncate)),
    ("flipped gzip", _zipped_then(_flip)),
    ("gzip of gzip", _zipped_twice),
    ("gzip and more", _zipped_and),
    ("pretty JSON", _pretty),
    ("other line ends", _separated),
    ("nothing", _nothing),
    ("another kind of file", _other_file),
)


# --- values and structure ----------------------------------------------------------------------


def _odd_value(chance: random.Random, rows: list[Row]) -> None:
    row = chance.choice(rows)
    row[chance.choice(list(row))] = chance.choice(ODD_VALUES)


def _odd_column(chance: random.Random, rows: list[Row]) -> None:
    name, value = chance.choice(list(rows[0])), chance.choice(ODD_VALUES)
    for row in rows:
        row[name] = value


def _odd_name(chance: random.Random, rows: list[Row]) -> None:
    """One name of a source, an encoder or a preset, everywhere."""
    name = chance.choice([k for k in rows[0] if k in TEXT])
    old, new = rows[0][name], chance.choice([v for v in ODD_VALUES if isinstance(v, str)])
    for row in rows:
        if row[name] == old:
            row[name] = new


def _missing(chance: random.Random, rows: list[Row]) -> None:
    name = chance.choice(list(rows[0]))
    for row in rows if chance.random() < 0.5 else [chance.choice(rows)]:
        del row[name]


def _more_keys(chance: random.Random, rows: list[Row]) -> None:
    name, value = chance.choice(ODD_KEYS), chance.choice(ODD_VALUES)
    for row in rows if chance.random() < 0.5 else [chance.choice(rows)]:
        row[name] = value


def _many_keys(chance: random.Random, rows: list[Row]) -> None:
    for number in range(chance.choice((50, 2000))):
        chance.choice(rows)[f"extra{number}"] = number


def _clash(chance: random.Random, rows: list[Row]) -> None:
    row = dict(chance.choice(rows))
    row["motion2"] = row["motion2"] + chance.choice((1e-12, 1e-6, 0.5))
    rows.insert(chance.randrange(len(rows)), row)


def _twin(chance: random.Random, rows: list[Row]) -> None:
    """A source once more, under another name."""
    old = chance.choice(sorted({row["src"] for row in rows}))
    new = chance.choice(("twin", old.upper(), f"{old} ", f"{old}\u200b", f"./{old}"))
    rows += [{**row, "src": new} for row in rows if row["src"] == old]
    chance.shuffle(rows)


def _few_sources(chance: random.Random, rows: list[Row]) -> None:
    rows[:] = rows[: chance.choice((1, 2, 60, 99, 100))]


def _one_source(_: random.Random, rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        row["src"], row["frame_index"] = "one", number


def _source_a_row(chance: random.Random, rows: list[Row]) -> None:
    rows_a_source = chance.choice((1, 2, 3))
    for number, row in enumerate(rows):
        row["src"] = f"s{number // rows_a_source}"


def _many_sources(chance: random.Random, rows: list[Row]) -> None:
    grown = [
        {**row, "src": f"{row['src']}{copy}", "adm2": row["adm2"] + copy * 1e-4}
        for copy in range(chance.choice((30, 300)))
        for row in rows[::10]
    ]
    rows[:] = grown


def _one_quality(chance: random.Random, rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        row["cq"], row["frame_index"] = chance.choice((19, 19.0)), number


def _constant_target(chance: random.Random, rows: list[Row]) -> None:
    source = chance.choice(sorted({row["src"] for row in rows}))
    everywhere, value = chance.random() < 0.3, chance.choice((0, 50.5, 100))
    for row in rows:
        if "vmaf" in row and (everywhere or row["src"] == source):
            row["vmaf"] = value


def _shuffled(chance: random.Random, rows: list[Row]) -> None:
    chance.shuffle(rows)


_EDITS: tuple[tuple[str, Edit], ...] = (
    ("odd value", _odd_value),
    ("odd value once more", _odd_value),
    ("odd value again", _odd_value),
    ("odd column", _odd_column),
    ("odd name", _odd_name),
    ("missing key", _missing),
    ("more keys", _more_keys),
    ("many keys", _many_keys),
    ("one key, two values", _clash),
    ("a twin", _twin),
    ("few rows", _few_sources),
    ("one source", _one_source),
    ("few rows a source", _source_a_row),
    ("many sources", _many_sources),
    ("one quality", _one_quality),
    ("constant target", _constant_target),
    ("another order", _shuffled),
)


# --- paths -------------------------------------------------------------------------------------


def _odd_path(chance: random.Random, folder: Path, data: bytes) -> tuple[Path, str]:
    """A place that holds no table, and what it is."""
    path = folder / chance.choice(("x.jsonl", "x.jsonl.gz", "x.parquet", "x"))
    kind = chance.choice(
        ("FIFO", "folder", "link loop", "broken link", "device", "nothing there", "socket", "long")
    )
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        (path / "deeper").mkdir(parents=True)
        (path / "deeper" / "x.jsonl").write_bytes(data)
    elif kind == "link loop":
        (folder / "y").symlink_to(path)
        path.symlink_to(folder / "y")
    elif kind == "broken link":
        path.symlink_to(folder / "nowhere")
    elif kind == "device":
        path.symlink_to(chance.choice(("/dev/zero", "/dev/null", "/dev/urandom", "/dev/full")))
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "long":
        path = folder / ("x" * 300)
    return path, kind


def _odd_file_name(chance: random.Random, folder: Path) -> Path:
    names = (
        "a\nb.jsonl",
        "\x1b[31m.jsonl",
        "a b.jsonl",
        "\u202e.jsonl",
        "[red]x[bold].jsonl",
        "%41.jsonl",
    )
    odd = (
        *names,
        os.fsdecode(b"\xff\xfe.jsonl"),
        "-x.jsonl",
        "x?y.jsonl",
        "é.jsonl",
        "x.parquet",
        "~",
    )
    return folder / chance.choice(odd)


def makers(flavour: Flavour, read_rows: ReadRows) -> list[tuple[str, Maker]]:
    """What corpora and frames share."""

    def of_bytes(spoil: Bytes) -> Maker:
        def make(chance: random.Random, folder: Path, material: Material) -> Case:
            data = spoil(chance, jsonl(base(flavour, material)))
            return judged(flavour, read_rows, folder / "x.jsonl", data)

        return make

    def of_edit(edit: Edit) -> Maker:
        def make(chance: random.Random, folder: Path, material: Material) -> Case:
            rows = base(flavour, material)
            edit(chance, rows)
            data = jsonl(rows)
            zipped = chance.random() < 0.2
            data = gzip.compress(data, mtime=0) if zipped else data
            return judged(flavour, read_rows, folder / "x.jsonl", data)

        return make

    def good(chance: random.Random, folder: Path, material: Material) -> Case:
        data = _good_bytes(chance, jsonl(base(flavour, material)))
        return judged(flavour, read_rows, folder / "x.jsonl", data, "accept")

    def bomb(chance: random.Random, folder: Path, _: Material) -> Case:
        piece = chance.choice((b"\n", b" ", b"x", b"[", b'{"src":"a"}\n', b'{"x":', b"\x00"))
        data = gzip.compress(piece * ((chance.choice((64, 200)) << 20) // len(piece)), 9, mtime=0)
        (folder / "x.jsonl.gz").write_bytes(data)
        return Case(folder / "x.jsonl.gz", "refuse", "it is a bomb without rows")

    def path(chance: random.Random, folder: Path, material: Material) -> Case:
        target, kind = _odd_path(chance, folder, jsonl(base(flavour, material)))
        return Case(target, "refuse", f"no file of rows is there: {kind}")

    def file_name(chance: random.Random, folder: Path, material: Material) -> Case:
        target = _odd_file_name(chance, folder)
        data = jsonl(base(flavour, material))
        if chance.random() < 0.5:
            data = _truncate(chance, data)
        return judged(flavour, read_rows, target, data)

    return [
        *((name, of_bytes(spoil)) for name, spoil in _BYTES),
        *((name, of_edit(edit)) for name, edit in _EDITS),
        ("the same rows, dressed otherwise", good),
        ("gzip bomb", bomb),
        ("no file", path),
        ("odd file name", file_name),
    ]
