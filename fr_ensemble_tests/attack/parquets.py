"""Odd Parquet: other types, nesting, columns twice, damage, a name that lies."""

from __future__ import annotations

import io
import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from fr_ensemble_tests.attack.case import Case, Maker
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.rows import TEXT, Flavour
from fr_ensemble_tests.attack.tables import (
    ODD_KEYS,
    ODD_VALUES,
    ReadRows,
    _cut,
    _flip,
    _truncate,
    _zero,
    base,
    jsonl,
    known,
)


def _bytes(table: pa.Table, **how: Any) -> bytes:
    made = io.BytesIO()
    pyarrow.parquet.write_table(table, made, **how)
    return made.getvalue()


def makers(flavour: Flavour, read_rows: ReadRows) -> list[tuple[str, Maker]]:
    """Of one flavour of table."""

    def table_of(material: Material) -> pa.Table:
        return pa.Table.from_pylist(base(flavour, material))

    def good(chance: random.Random, folder: Path, material: Material) -> Case:
        rows = base(flavour, material)
        chance.shuffle(rows)
        table = pa.Table.from_pylist(rows)
        if chance.random() < 0.3:
            place = table.column_names.index("encoder")
            table = table.set_column(place, "encoder", table["encoder"].dictionary_encode())
        how = {
            "compression": chance.choice(("none", "snappy", "gzip", "zstd", "lz4", "brotli")),
            "row_group_size": chance.choice((1, 7, 1000)),
            "use_dictionary": chance.random() < 0.5,
            "data_page_version": chance.choice(("1.0", "2.0")),
            "version": chance.choice(("1.0", "2.6")),
        }
        target = folder / chance.choice(("x.parquet", "x.jsonl", "x"))
        target.write_bytes(_bytes(table, **how))
        return known(flavour, read_rows, target, rows, "accept")

    def odd_type(chance: random.Random, folder: Path, material: Material) -> Case:
        rows = base(flavour, material)
        name = chance.choice(list(flavour.required))
        values = [row[name] for row in rows]
        column, kept = _as_odd_type(chance, values, name)
        table = pa.Table.from_pylist(rows)
        table = table.set_column(table.column_names.index(name), name, column)
        target = folder / "x.parquet"
        target.write_bytes(_bytes(table))
        if kept is None:
            return Case(target, "refuse", f"{name} has the type {column.type}")
        made = [{**row, name: value} for row, value in zip(rows, kept, strict=True)]
        return known(flavour, read_rows, target, made)

    def odd_value(chance: random.Random, folder: Path, material: Material) -> Case:
        rows = base(flavour, material)
        row, name = chance.choice(rows), chance.choice(list(flavour.required))
        kind = str if name in TEXT else float
        odd = [v for v in ODD_VALUES if isinstance(v, kind) or v is None]
        row[name] = chance.choice(odd)
        if name == "src" and row[name] in {"\ud800", "\udfff\ud800"}:
            row[name] = ""  # Arrow can't hold it
        target = folder / "x.parquet"
        try:
            target.write_bytes(_bytes(pa.Table.from_pandas(pd.DataFrame(rows))))
        except (pa.ArrowException, UnicodeEncodeError):
            row[name] = None
            target.write_bytes(_bytes(pa.Table.from_pandas(pd.DataFrame(rows))))
        return known(flavour, read_rows, target, rows)

    def doubled(chance: random.Random, folder: Path, material: Material) -> Case:
        table = table_of(material)
        name = chance.choice(table.column_names)
        table = table.append_column(name, table.column(chance.choice(table.column_names)))
        (folder / "x.parquet").write_bytes(_bytes(table))
        return Case(folder / "x.parquet", "refuse", f"it has two columns {name}")

    def more_columns(chance: random.Random, folder: Path, material: Material) -> Case:
        rows, table = base(flavour, material), table_of(material)
        for _ in range(chance.choice((1, 3, 400))):
            name = chance.choice([k for k in ODD_KEYS if k != "\ud800"]) + str(chance.random())
            table = table.append_column(name, pa.array([[{"a": 1}]] * len(rows)))
        (folder / "x.parquet").write_bytes(_bytes(table))
        return known(flavour, read_rows, folder / "x.parquet", rows)

    def few_columns(chance: random.Random, folder: Path, material: Material) -> Case:
        name = chance.choice(flavour.required)
        table = table_of(material).drop_columns([name])
        table = chance.choice(
            (
                table,
                table.slice(0, 0),
                table.select([]),
                table.append_column(name.upper(), pa.nulls(table.num_rows)),
            )
        )
        (folder / "x.parquet").write_bytes(_bytes(table))
        return Case(folder / "x.parquet", "refuse", f"{name} is missing")

    def no_rows(_: random.Random, folder: Path, material: Material) -> Case:
        (folder / "x.parquet").write_bytes(_bytes(table_of(material).slice(0, 0)))
        return Case(folder / "x.parquet", "refuse", "it has no rows")

    def damaged(chance: random.Random, folder: Path, material: Material) -> Case:
        rows = base(flavour, material)
        compression = chance.choice(("none", "snappy", "zstd"))
        data = _bytes(table_of(material), compression=compression, write_page_checksum=True)
        spoiled = chance.choice((_flip, _truncate, _cut, _zero))(chance, data)
        (folder / "x.parquet").write_bytes(spoiled)
        try:
            found = pyarrow.parquet.ParquetFile(
                io.BytesIO(spoiled), page_checksum_verification=True
            ).read()
            rows = found.to_pylist()
            return known(flavour, read_rows, folder / "x.parquet", rows)
        except Exception:
            # Another reader gives up; ours may read what is whole, if it is what was written.
            return known(flavour, read_rows, folder / "x.parquet", rows)

    def lying(chance: random.Random, folder: Path, material: Material) -> Case:
        rows = base(flavour, material)
        feather = io.BytesIO()
        pyarrow.feather.write_feather(table_of(material), feather)
        target = folder / "x.parquet"
        content = chance.choice(
            (jsonl(rows), feather.getvalue(), b"PAR1", b"PAR1PAR1", b"PARE" * 9)
        )
        target.write_bytes(content)
        if content == jsonl(rows):
            return known(flavour, read_rows, target, rows)
        return Case(target, "refuse", "it is no Parquet file")

    def encrypted(_: random.Random, folder: Path, material: Material) -> Case:
        data = bytearray(_bytes(table_of(material)))
        data[:4] = data[-4:] = b"PARE"
        (folder / "x.parquet").write_bytes(bytes(data))
        return Case(folder / "x.parquet", "refuse", "it says that it is encrypted")

    return [
        ("good Parquet", good),
        ("Parquet of an odd type", odd_type),
        ("Parquet of another odd type", odd_type),
        ("Parquet with an odd value", odd_value),
        ("Parquet with a column twice", doubled),
        ("Parquet with more columns", more_columns),
        ("Parquet with few columns", few_columns),
        ("Parquet without rows", no_rows),
        ("damaged Parquet", damaged),
        ("damaged Parquet again", damaged),
        ("a name that lies", lying),
        ("encrypted Parquet", encrypted),
    ]


def _as_odd_type(
    chance: random.Random, values: list[Any], name: str
) -> tuple[pa.Array, list[Any] | None]:
    """The column with another type; what it says now, or nothing where it must be refused."""
    if name in TEXT:
        odd = (
            (pa.array([v.encode() for v in values], pa.binary()), None),
            (pa.array([[v] for v in values]), None),
            (pa.array(list(range(len(values)))), None),
            (pa.array([{"name": v} for v in values]), None),
            (pa.array(values, pa.large_string()), values),
            (pa.array(values).dictionary_encode(), values),
            (pa.nulls(len(values), pa.string()), None),
        )
        return chance.choice(odd)
    numbers = [float(v) for v in values]
    halves = pa.array(pd.Series(numbers).astype("float16").to_numpy())
    singles = pa.array(numbers, pa.float32())
    odd = (
        (pa.array([str(v) for v in values]), None),
        (pa.array([Decimal(str(round(v, 3))) for v in numbers]), None),
        (pa.array([datetime(2026, 1, 1)] * len(values)), None),
        (pa.array([v > 0 for v in numbers]), None),
        (pa.array([[v] for v in numbers]), None),
        (pa.array([{"v": v} for v in numbers]), None),
        (pa.array([str(v).encode() for v in numbers], pa.binary()), None),
        (halves, [float(v) for v in halves.to_pylist()]),
        (singles, [float(v) for v in singles.to_pylist()]),
        (pa.array([int(v) for v in numbers], pa.uint64()), [int(v) for v in numbers]),
        (pa.array([int(v) % 128 for v in numbers], pa.int8()), [int(v) % 128 for v in numbers]),
        (pa.nulls(len(values)), None),
        (pa.nulls(len(values), pa.float64()), None),
        (pa.array([2**63 + 1] * len(values), pa.uint64()), [2**63 + 1] * len(values)),
        (pa.array(numbers).dictionary_encode(), numbers),
        (pa.array([int(v) for v in numbers], pa.time64("us")), None),
        (pa.array([int(v) for v in numbers], pa.duration("s")), None),
    )
    return chance.choice(odd)
