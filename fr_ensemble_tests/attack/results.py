"""Results: folders of ``loso_seed{N}.json`` that the gate judges."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from fr_ensemble_tests.attack import places
from fr_ensemble_tests.attack.case import Case, Flawed, Kind, Maker, Must
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import judged_results, typed
from fr_ensemble_tests.attack.tables import DEEP, ODD_KEYS, ODD_NUMBERS, ODD_VALUES

Document = dict[str, Any]
SEEDS = range(5)
_SAME = 1e-9


def _name(seed: int) -> str:
    return f"loso_seed{seed}.json"


def _copy(folder: Path, material: Material) -> Path:
    target = folder / "results"
    target.mkdir()
    for path in material.results.iterdir():
        if path.name.startswith("loso_seed"):
            shutil.copyfile(path, target / path.name)
    return target


def _documents(folder: Path) -> dict[int, Document]:
    return {seed: json.loads((folder / _name(seed)).read_text()) for seed in SEEDS}


def _write(folder: Path, seed: int, document: Any, **how: Any) -> None:
    (folder / _name(seed)).write_text(json.dumps(document, **how))


# --- an independent view of what a folder says -------------------------------------------------


def _distinct(pairs: list[tuple[str, Any]]) -> Document:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def rule_holds(folder: Path) -> str:
    """Why the rule of ADR-0303 says HOLD over the files as they are; nothing on PROMOTE."""
    means = []
    for seed in SEEDS:
        try:
            text = (folder / _name(seed)).read_text("utf-8")
            told = json.loads(text, object_pairs_hook=_distinct)
            plccs = [fold["plcc"] for fold in told["folds"]]
            mean = sum(plccs) / len(plccs)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            ZeroDivisionError,
            RecursionError,
        ) as error:
            return f"seed {seed} says nothing ({type(error).__name__})"
        if not all(isinstance(p, int | float) and -1 <= p <= 1 + _SAME for p in plccs):
            return f"seed {seed} has an undefined fold"
        if not math.isclose(mean, told["mean_plcc"], abs_tol=1e-6):
            return f"seed {seed} tells another mean than its folds"
        means.append(Decimal(repr(told["mean_plcc"])))
    if sum(means) / 5 < Decimal("0.95") or min(means) < Decimal("0.95"):
        return "a mean is under 0.95"
    return "the spread is over 0.005" if max(means) - min(means) > Decimal("0.005") else ""


def _same_figures(folder: Path, material: Material) -> str:
    """How the figures that the gate judges differ from the genuine ones; nothing, if they don't."""
    if reason := rule_holds(folder):
        return reason
    genuine, found = _documents(material.results), _documents(folder)
    for seed in SEEDS:
        for fold, other in zip(genuine[seed]["folds"], found[seed]["folds"], strict=False):
            if fold["held_out"] != other.get("held_out"):
                return f"seed {seed} holds out other sources"
            if abs(fold["plcc"] - other["plcc"]) > _SAME:
                return f"seed {seed} has another PLCC in {fold['held_out']}"
        if len(genuine[seed]["folds"]) != len(found[seed]["folds"]):
            return f"seed {seed} has another number of folds"
        for name in (
            "epochs",
            "batch_size",
            "lr",
            "weight_decay",
            "corpus_sha256",
            "recipe",
            "seed",
        ):
            if genuine[seed][name] != found[seed].get(name):
                return f"seed {seed} tells another {name}"
    return ""


def _case(folder: Path, material: Material, must: Must, why: str) -> Case:
    return Case(folder, must, why, lambda _: _same_figures(folder, material))


# --- what is done to them ----------------------------------------------------------------------

Edit = Callable[[random.Random, Document], str]


def _some(chance: random.Random) -> list[int]:
    return list(SEEDS) if chance.random() < 0.4 else [chance.choice(SEEDS)]


def _edited(edit: Edit, must: Must = "refuse") -> Maker:
    """All seeds or one are edited; an edit says what it did."""

    def make(chance: random.Random, folder: Path, material: Material) -> Case:
        target, why = _copy(folder, material), ""
        state = chance.random()
        for seed in _some(chance):
            document = json.loads((target / _name(seed)).read_text())
            why = edit(random.Random(state), document)
            _write(target, seed, document)
        return _case(target, material, must, why)

    return make


def _raise_mean(chance: random.Random, document: Document) -> str:
    by = chance.choice((5e-7, 1e-6, 1e-4, 1e-3, 0.01))
    document["mean_plcc"] += by
    return f"mean_plcc is {by:g} too high"


def _raise_all(chance: random.Random, document: Document) -> str:
    to = chance.choice((0.99, 1.0, 0.9950001))
    for fold in document["folds"]:
        fold["plcc"] = to
    document["mean_plcc"] = to
    return "every fold is forged, and the mean with them"


def _raise_one(chance: random.Random, document: Document) -> str:
    fold, by = chance.choice(document["folds"]), chance.choice((1e-8, 1e-6, 0.005))
    fold["plcc"] = min(1.0, fold["plcc"] + by)
    document["mean_plcc"] = sum(f["plcc"] for f in document["folds"]) / len(document["folds"])
    return f"{fold['held_out']} is forged by {by:g}, and the mean with it"


def _pad(chance: random.Random, document: Document) -> str:
    first = document["folds"][0]
    number = chance.choice((1, 4, 400))
    document["folds"] += [{**first, "held_out": f"x{n}", "plcc": 1.0} for n in range(number)]
    document["n_folds"] = len(document["folds"])
    document["mean_plcc"] = sum(f["plcc"] for f in document["folds"]) / document["n_folds"]
    return f"{number} folds are made up"


def _drop_fold(chance: random.Random, document: Document) -> str:
    del document["folds"][chance.randrange(len(document["folds"]))]
    document["n_folds"] = len(document["folds"])
    document["mean_plcc"] = sum(f["plcc"] for f in document["folds"]) / document["n_folds"]
    return "a fold was left out"


def _fold_twice(chance: random.Random, document: Document) -> str:
    document["folds"].append(dict(chance.choice(document["folds"])))
    document["n_folds"] = chance.choice((len(document["folds"]), document["n_folds"]))
    return "a fold stands twice"


def _many_folds(chance: random.Random, document: Document) -> str:
    first, number = document["folds"][0], chance.choice((5_000, 50_000))
    document["folds"] = [{**first, "held_out": f"s{n}"} for n in range(number)]
    document["n_folds"], document["mean_plcc"] = number, first["plcc"]
    return f"{number} folds"


def _odd_figure(chance: random.Random, document: Document) -> str:
    value = chance.choice(ODD_VALUES)
    fold = chance.choice(document["folds"])
    place, name = chance.choice(
        ((document, "mean_plcc"), (fold, "plcc"), (document, "folds"), (document, "seed"))
    )
    place[name] = value
    return f"{name} is {str(value)[:30]!a}"


def _odd_name(chance: random.Random, document: Document) -> str:
    value = chance.choice([v for v in ODD_VALUES if not isinstance(v, float)])
    chance.choice(document["folds"])["held_out"] = value
    return "a held-out source has an odd name"


def _other_recipe(chance: random.Random, document: Document) -> str:
    name = chance.choice(("epochs", "batch_size", "lr", "weight_decay"))
    value = chance.choice((1, 5, 1e-3, "200", None, [200], True, float("nan"), 10**400, -0.0))
    if chance.random() < 0.5:
        document[name] = value
    document["recipe"][name] = value
    return f"its {name} is {str(value)[:20]}"


def _no_recipe(chance: random.Random, document: Document) -> str:
    for name in chance.choice((("recipe",), ("recipe", "epochs"), ("streams_version",))):
        del document[name]
    return "it hides its recipe"


def _other_corpus(chance: random.Random, document: Document) -> str:
    odd = ("0" * 64, "", None, 7, "../../x", "\x1b[31m", document["corpus_sha256"].upper())
    document["corpus_sha256"] = chance.choice(odd)
    return "it belongs to another corpus"


def _other_version(chance: random.Random, document: Document) -> str:
    name = chance.choice(("num_codecs", "encoder_vocab_version", "codec_block_version"))
    document[name] = chance.choice((0, 13, 99, None, "2"))
    return f"it was made with another {name}"


def _other_predictions(chance: random.Random, document: Document) -> str:
    name = chance.choice(("sha256", "all"))
    if name == "all":
        document["predictions"] = chance.choice((None, [], "x", {}, {"sha256": None}))
    else:
        document["predictions"]["sha256"] = chance.choice(("0" * 64, 1, None, ["x"]))
    return "its predictions are others"


def _beside_the_gate(chance: random.Random, document: Document) -> str:
    """Figures that the gate doesn't judge, and keys that it doesn't know."""
    what = chance.randrange(4)
    if what == 0:
        document["wall_time_s"] = chance.choice((0, 1e9, None))
    elif what == 1:
        document[chance.choice([k for k in ODD_KEYS if k != "\ud800"])] = {"x": [1]}
    elif what == 2:
        document["backend"] = chance.choice(("\x1b[31m", "x" * 9999, "é"))
    else:
        document["written_by"] = "somebody"
    return "the figures that the gate judges are as they were"


def _text(chance: random.Random, folder: Path, material: Material) -> Case:
    """The text of a file spoiled, or only dressed otherwise."""
    target = _copy(folder, material)
    path = target / _name(chance.choice(SEEDS))
    data = path.read_bytes()
    at = chance.randrange(len(data))
    flipped = bytearray(data)
    flipped[at] ^= 1 << chance.randrange(8)
    number = chance.choice(ODD_NUMBERS).encode()
    plcc = data.index(b'"mean_plcc": ') + len(b'"mean_plcc": ')
    end = data.index(b",", plcc)
    path.write_bytes(
        chance.choice(
            (
                data[:at],
                bytes(flipped),
                bytes(flipped),
                data + b"x",
                data + b"\n\n ",
                b"\xef\xbb\xbf" + data,
                data.decode().encode("utf-16"),
                data.replace(b"\n", b"\r\n"),
                data[:plcc] + number + data[end:],
                data[:plcc] + data[plcc:end] + b', "mean_plcc": 0.99' + data[end:],
                data.replace(b'"plcc"', b'"pl\\u0063c"'),
                b"[" + data + b"]",
                DEEP.encode(),
                b'{"seed": ' + DEEP.encode(),
                b"",
                b"\x00" * 100,
                b" " * (8 << 20) + data,
            )
        )
    )
    return _case(target, material, "either", "the figures are as they were")


def _place(chance: random.Random, folder: Path, material: Material) -> Case:
    """Something else where a file of the folder should be, or the folder itself."""
    target = _copy(folder, material)
    if chance.random() < 0.3:
        kind = places.put(chance, target)
    else:
        predictions = f"loso_seed{chance.choice(SEEDS)}_predictions.parquet"
        kind = places.put(
            chance, target / chance.choice((_name(chance.choice(SEEDS)), predictions))
        )
    return Case(target, "refuse", f"a file is a {kind}", lambda _: "")


def _mixed_up(chance: random.Random, folder: Path, material: Material) -> Case:
    """Files renamed, swapped, copied."""
    target = _copy(folder, material)
    one, other = chance.sample(SEEDS, 2)
    how = chance.randrange(5)
    if how == 0:
        (target / _name(one)).rename(target / f"loso_seed0{one}.json")
    elif how == 1:
        shutil.copyfile(target / _name(one), target / _name(other))
    elif how == 2:
        document = json.loads((target / _name(one)).read_text())
        _write(target, other, document | {"seed": other})
    elif how == 3:
        (target / _name(one)).rename(target / f"LOSO_SEED{one}.JSON")
    else:
        name = f"loso_seed{one}_predictions.parquet"
        shutil.copyfile(target / name, target / f"loso_seed{other}_predictions.parquet")
    return _case(target, material, "refuse", f"seeds {one} and {other} are mixed up")


def _more_files(chance: random.Random, folder: Path, material: Material) -> Case:
    """Seeds beyond the ensemble, and names that nobody knows: not judged."""
    target = _copy(folder, material)
    document = json.loads((target / _name(0)).read_text())
    how = chance.randrange(4)
    if how == 0:
        for seed in range(5, chance.choice((7, 60))):
            _write(target, seed, document | {"seed": seed, "mean_plcc": 0.5})
        return _case(target, material, "either", "seeds beyond the ensemble are not judged")
    if how == 1:
        (target / "loso_seed99999999999999999999.json").write_text("{}")
        return _case(target, material, "either", "seeds beyond the ensemble are not judged")
    names = ("notes \x1b[31m.txt", "loso_seed-1.json", "loso_seed٣.json", "loso_seed1.json.bak")
    (target / chance.choice(names)).write_text("{")
    return _case(target, material, "either", "a file of another name is nobody's result")


def _altered_predictions(chance: random.Random, folder: Path, material: Material) -> Case:
    """Predictions that are others, their digest adjusted; the figures are those of the genuine."""
    target, seed = _copy(folder, material), chance.choice(SEEDS)
    path = target / f"loso_seed{seed}_predictions.parquet"
    table = pyarrow.parquet.read_table(path)
    name = chance.choice(("prediction", "target", "src", "cq"))
    values = table.column(name).to_pylist()
    how = chance.randrange(6)
    if how == 0:
        table = table.slice(1)
    elif how == 1:
        table = table.take(list(reversed(range(len(table)))))
    elif how == 2:
        table = table.drop_columns([name])
    elif name == "src":
        values[0] = "x"
    elif how == 3:
        values[chance.randrange(len(values))] = chance.choice((float("nan"), float("inf"), None))
    else:
        values[chance.randrange(len(values))] += chance.choice((0.01, 1, 1e30))
    if how > 2:
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    made = io.BytesIO()
    pyarrow.parquet.write_table(table, made)
    path.write_bytes(made.getvalue())
    document = json.loads((target / _name(seed)).read_text())
    document["predictions"]["sha256"] = hashlib.sha256(made.getvalue()).hexdigest()
    _write(target, seed, document)
    return _case(target, material, "refuse", f"the predictions of seed {seed} are others ({name})")


def _dressed(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    for seed, document in _documents(target).items():
        keys = list(document)
        chance.shuffle(keys)
        shuffled = {key: document[key] for key in keys}
        _write(target, seed, shuffled, indent=chance.choice((None, 1, 7)))
    return _case(target, material, "accept", "only white space and the order of keys differ")


def _attempt(case: Case, _: Path, material: Material) -> Any:
    typed("gate", str(case.target))
    if reason := rule_holds(case.target):
        raise Flawed(f"the gate promotes, though {reason}")
    return judged_results(case.target, material.home, material.corpus_sha256)


def _command(case: Case, _: Path, __: Material) -> list[str]:
    return ["gate", str(case.target), "--json"]


_MAKERS: list[tuple[str, Maker]] = [
    ("mean raised", _edited(_raise_mean)),
    ("all folds raised", _edited(_raise_all)),
    ("one fold raised", _edited(_raise_one)),
    ("folds made up", _edited(_pad)),
    ("fold left out", _edited(_drop_fold)),
    ("fold twice", _edited(_fold_twice)),
    ("very many folds", _edited(_many_folds)),
    ("odd figure", _edited(_odd_figure, "either")),
    ("odd figure again", _edited(_odd_figure, "either")),
    ("odd source", _edited(_odd_name)),
    ("another recipe", _edited(_other_recipe)),
    ("recipe hidden", _edited(_no_recipe)),
    ("another corpus", _edited(_other_corpus)),
    ("another version", _edited(_other_version)),
    ("other predictions named", _edited(_other_predictions)),
    ("beside the gate", _edited(_beside_the_gate, "either")),
    ("odd text", _text),
    ("odd text again", _text),
    ("odd place", _place),
    ("odd place again", _place),
    ("mixed up", _mixed_up),
    ("more files", _more_files),
    ("other predictions", _altered_predictions),
    ("dressed otherwise", _dressed),
]

# The command judges the files alone; only the function has the corpus to hold them against.
KIND = Kind("results", _MAKERS, _attempt, _command, same=False)
