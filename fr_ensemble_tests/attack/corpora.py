"""Corpora: what ``run`` is given to train on."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

from fr_ensemble_tests.attack import parquets, tables
from fr_ensemble_tests.attack.case import Case, Kind, Maker
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import taken_corpus
from fr_ensemble_tests.attack.rows import CORPUS
from fr_ensemble_tests.attack.tables import base, jsonl, judged, known


def _rows_of(reading: Any) -> list[dict[str, Any]]:
    return reading.corpus.frame.astype(object).to_dict("records")  # type: ignore[no-any-return]


def _near_twin(chance: random.Random, folder: Path, material: Material) -> Case:
    """A source once more under another name, with targets that differ in the last digits."""
    rows = base(CORPUS, material)
    old = chance.choice(sorted({row["src"] for row in rows}))
    by = chance.choice((1e-12, 1e-9, 1e-6, 1e-4, 1e-3))
    name = chance.choice(("copy", f"{old}2", f"zz {old}"))
    column = chance.choice(("vmaf", "adm2", "vif_scale0"))
    own = [row for row in rows if row["src"] == old]
    if chance.random() < 0.3:
        own = own[: -chance.randrange(1, 4)]  # not even whole
    rows += [{**r, "src": name, column: max(0.0, r[column] - by)} for r in own]
    chance.shuffle(rows)
    target = folder / "x.jsonl"
    target.write_bytes(jsonl(rows))
    return Case(target, "refuse", f"{name!r} is {old!r} but for {by:g} in {column}")


def _one_name_twice(chance: random.Random, folder: Path, material: Material) -> Case:
    """One clip whose halves have names that only a computer tells apart."""
    rows = base(CORPUS, material)
    one, other = chance.choice(
        (
            ("Clip", "clip"),
            (unicodedata.normalize("NFC", "été"), unicodedata.normalize("NFD", "été")),
            ("clip", "clip "),
            ("clip", "cl\u200bip"),
            ("clip", "\uff43\uff4c\uff49\uff50"),
        )
    )
    for number, row in enumerate(rows):
        if row["src"] == "bbb":
            row["src"] = (one, other)[number % 2]
    target = folder / "x.jsonl"
    target.write_bytes(jsonl(rows))
    return Case(target, "refuse", f"{one!a} and {other!a} are one name")


def _extreme_targets(chance: random.Random, folder: Path, material: Material) -> Case:
    """Only 0 and 100: the design lets it pass, and docs/trust.md says so."""
    rows = base(CORPUS, material)
    for number, row in enumerate(rows):
        row["vmaf"] = chance.choice((0, 100)) if number % 7 else 0
    return judged(CORPUS, _rows_of, folder / "x.jsonl", jsonl(rows))


def _shards(chance: random.Random, folder: Path, material: Material) -> Case:
    """A folder of shards, some of them odd."""
    rows = base(CORPUS, material)
    target = folder / "shards"
    target.mkdir()
    chance.shuffle(rows)
    cut = chance.randrange(1, len(rows))
    (target / "a.jsonl").write_bytes(jsonl(rows[:cut]))
    (target / "b.jsonl").write_bytes(jsonl(rows[cut:]))
    spoil = chance.choice(
        ("none", "again", "clash", "empty", "readme", "FIFO", "link out", "broken link", "deeper")
    )
    if spoil == "again":
        (target / "c.jsonl").write_bytes(jsonl(rows[:3]))
    elif spoil == "clash":
        (target / "c.jsonl").write_bytes(jsonl([{**rows[0], "adm2": 0.123}]))
        return Case(target, "refuse", "two shards give one key two values")
    elif spoil == "empty":
        (target / "c.jsonl").write_bytes(b"")
        return Case(target, "refuse", "a shard is empty")
    elif spoil == "readme":
        (target / "READ\x1b[31mME").write_text("x")
    elif spoil == "FIFO":
        import os

        os.mkfifo(target / "c.jsonl")
    elif spoil == "link out":
        (folder / "away.jsonl").write_bytes((target / "b.jsonl").read_bytes())
        (target / "b.jsonl").unlink()
        (target / "b.jsonl").symlink_to(folder / "away.jsonl")
    elif spoil == "broken link":
        (target / "c.jsonl").symlink_to(folder / "nowhere")
    elif spoil == "deeper":
        (target / "c.jsonl").mkdir()
    return _of_known(target, rows)


def _of_known(target: Path, rows: list[dict[str, Any]]) -> Case:
    """The rows of a folder that is written already."""
    aside = target.parent / "all.jsonl"
    made = known(CORPUS, _rows_of, aside, rows)
    return Case(target, made.must, made.why, made.oracle)


def _attempt(case: Case, out: Path, _: Material) -> Any:
    return taken_corpus(case.target, out)


def _command(case: Case, out: Path, _: Material) -> list[str]:
    words = ["run", "--corpus", str(case.target), "--epochs", "1", "--seeds", "0"]
    return [*words, "--home", str(out / "home-outside")]


_MAKERS: list[tuple[str, Maker]] = [
    *tables.makers(CORPUS, _rows_of),
    *parquets.makers(CORPUS, _rows_of),
    ("near twin", _near_twin),
    ("near twin again", _near_twin),
    ("one name twice", _one_name_twice),
    ("extreme targets", _extreme_targets),
    ("folder of shards", _shards),
    ("folder of odd shards", _shards),
]

# A dry run of one seed ends with a HOLD, exit code 1, where the corpus is good.
KIND = Kind("corpora", _MAKERS, _attempt, _command, sample=30, accepting=(0, 1))
