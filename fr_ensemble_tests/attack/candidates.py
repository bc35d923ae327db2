"""Candidates: folders that ``propose``, ``predict`` and ``status`` must see through."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from upath import UPath

from fr_ensemble_assets.prediction.candidate import load_candidate
from fr_ensemble_tests.attack import places
from fr_ensemble_tests.attack.case import Case, Flawed, Kind, Maker, Refused, tree_of
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import UnusableInput, typed
from fr_ensemble_tests.attack.surgery import operate
from fr_ensemble_tests.attack.tables import ODD_VALUES

Path_ = tuple[Any, ...]
ENSEMBLE = "fr_regressor_v2_ensemble_v1"

#: What a candidate can't derive from the evidence inside: who rewrites all digests may alter it.
_PROVENANCE = frozenset(
    {"generated_at_utc", "wall_time_s", "written_by", "backend", "loso_dir", "path", "corpus"}
)


def _copy(folder: Path, material: Material) -> Path:
    target = folder / material.candidate.name
    shutil.copytree(material.candidate, target)
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sign_again(folder: Path, before: dict[str, str]) -> None:
    """Write the digests of altered files into every document that names the old ones.

    Goes on until nothing changes: documents name each other.
    """
    told = dict(before)
    for _ in range(8):
        found = {path.name: _sha256(path) for path in folder.iterdir() if path.is_file()}
        changed = {told[n]: found[n] for n in found if n in told and found[n] != told[n]}
        if not changed:
            return
        told |= found
        for path in folder.glob("*.json"):
            text = made = path.read_text("utf-8", "surrogateescape")
            for old, new in changed.items():
                made = made.replace(old, new)
            if made != text:
                path.write_text(made, "utf-8", "surrogateescape")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: _sha256(path) for path in folder.iterdir()}


def _oracle(target: Path, material: Material) -> Any:
    """Nothing that matters differs: the same files, the same JSON values, the same models."""

    def ask(_: Any) -> str:
        names = {path.name for path in target.iterdir()}
        if names != {path.name for path in material.candidate.iterdir()}:
            return "it has other files"
        for name in sorted(names):
            one, other = (target / name).read_bytes(), (material.candidate / name).read_bytes()
            if one != other and not (name.endswith(".json") and _same_json(one, other)):
                return f"{name} says something else"
        return ""

    return ask


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        first, second = (
            json.loads(data, object_pairs_hook=list, parse_float=str, parse_int=str)
            for data in (one, other)
        )
    except ValueError:
        return False
    return _sorted_pairs(first) == _sorted_pairs(second)


def _sorted_pairs(value: Any) -> str:
    return json.dumps(value)


# --- single values -----------------------------------------------------------------------------


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Where every value of a document stands that is no object and no list."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list) and inner:
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


def _documents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".json"))


def _alter(chance: random.Random, document: Any, path: Path_) -> str:
    """Another value at ``path``; returns what it is now."""
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    value = place[last]
    how = chance.random()
    if how < 0.12:
        del place[last]
        return "gone"
    if how < 0.24:
        place[last] = chance.choice([v for v in ODD_VALUES if repr(v) != repr(value)])
    elif isinstance(value, bool):
        place[last] = not value
    elif isinstance(value, int):
        place[last] = value + chance.choice((1, -1, 1000))
    elif isinstance(value, float):
        place[last] = value * chance.choice((1 + 1e-9, 1.01, -1, 100)) or 1.0
    elif isinstance(value, str):
        place[last] = chance.choice((f"{value}x", value[:-1], value.upper() + " ", ""))
    else:
        place[last] = chance.choice((0, "x", [1]))
    return str(place[last])[:40]


def _one_value(chance: random.Random, folder: Path, material: Material) -> Case:
    """One value of one document altered; digests are as they were."""
    target = _copy(folder, material)
    name = chance.choice(_documents(target))
    document = json.loads((target / name).read_text())
    path = chance.choice(list(leaves(document)))
    now = _alter(chance, document, path)
    (target / name).write_text(
        json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8", "replace"
    )
    at = ".".join(map(str, path))
    return Case(target, "refuse", f"{name} {at} is {now!a}", _oracle(target, material))


def _one_value_signed(chance: random.Random, folder: Path, material: Material) -> Case:
    """One value that follows from the evidence inside, altered, and every digest with it."""
    target = _copy(folder, material)
    before = digests(target)
    name = chance.choice(("registry.json", "PROMOTE.json", f"{ENSEMBLE}.json", *_sidecars(target)))
    document = json.loads((target / name).read_text())
    derived = [p for p in leaves(document) if _is_derived(name, p)]
    path = chance.choice(derived)
    now = _alter(chance, document, path)
    (target / name).write_text(
        json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8", "replace"
    )
    sign_again(target, before)
    at = ".".join(map(str, path))
    return Case(target, "refuse", f"{name} {at} is {now!a}, with digests to match", None)


def _sidecars(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{ENSEMBLE}_seed*.json"))


def _is_derived(name: str, path: Path_) -> bool:
    """Whether a value follows from the results, the models and the contract in the folder."""
    if _PROVENANCE & set(path):
        return False
    if name == "PROMOTE.json":
        return path[0] in {"verdict", "seeds", "gate", "reasons", "dry_run", "recommendation"}
    if name == f"{ENSEMBLE}.json":
        known = {"id", "kind", "ensemble_size", "members", "feature_order", "codec_vocab"}
        return path[0] in known | {"codec_vocab_version", "confidence", "smoke"}
    if name == "registry.json":
        return path[0] == "models"
    settings = {"id", "ensemble_id", "seed", "kind", "codec_aware", "codec_block_layout", "opset"}
    gate = {"gate", "loso_mean_plcc", "encoder_vocab", "encoder_vocab_version", "feature_order"}
    return path[0] in settings | gate | {"input_names", "output_names", "onnx", "sha256", "notes"}


def _more_values(chance: random.Random, folder: Path, material: Material) -> Case:
    """A key more, a list longer, a key twice."""
    target = _copy(folder, material)
    name = chance.choice(_documents(target))
    text = (target / name).read_text()
    document = json.loads(text)
    keys = [k for k in document if isinstance(document[k], list)]
    how = chance.randrange(3)
    if how == 0 or not keys:
        document[chance.choice(("note", "smoke ", "conformal_q"))] = chance.choice((1, "x", None))
        text = json.dumps(document, indent=2)
    elif how == 1:
        document[chance.choice(keys)].append(chance.choice((1, "x", {"id": "y"})))
        text = json.dumps(document, indent=2)
    else:
        key = chance.choice(list(document))
        text = text.replace("{", f'{{"{key}": {json.dumps(document[key])}, ', 1)
    (target / name).write_text(text)
    return Case(target, "refuse", f"{name} says more", None)


def _dressed(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    name = chance.choice(_documents(target))
    text = (target / name).read_text()
    dressed = (text + "\n", text.rstrip(), text.replace("\n", "\r\n"), json.dumps(json.loads(text)))
    (target / name).write_text(chance.choice(dressed), newline="")
    return Case(target, "either", "only white space differs", _oracle(target, material))


# --- files -------------------------------------------------------------------------------------


def _spoil_file(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    path = chance.choice(sorted(target.iterdir()))
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    how = chance.randrange(5)
    if how == 0:
        data = data[:at]
    elif how == 1:
        data += chance.choice((b"x", b"\x00" * 9, bytes(data)))
    elif how == 2:
        data[at:at] = chance.randbytes(4)
    else:
        data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))
    return Case(target, "either", f"{path.name} is as it was", _oracle(target, material))


def _odd_place(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    path = chance.choice(sorted(target.iterdir()))
    kind = places.put(chance, path)
    return Case(target, "refuse", f"{path.name} is a {kind}")


def _odd_folder(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    kind = places.put(chance, target)
    return Case(target, "refuse", f"the folder is a {kind}")


def _linked(chance: random.Random, folder: Path, material: Material) -> Case:
    """A file, or the whole folder, is a link to the same content elsewhere."""
    target = _copy(folder, material)
    away = folder / "away"
    if chance.random() < 0.3:
        target.rename(away)
        target.symlink_to(away)
    else:
        path = chance.choice(sorted(target.iterdir()))
        path.rename(away)
        path.symlink_to(away)
    return Case(target, "either", "the content is the same", _oracle(target, material))


def _more_files(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    names = ("x.onnx", ".hidden", ".tmp-x-1-00000000-y", "NOTES\x1b[31m.md", "HOLD.json", "é.json")
    name = chance.choice((*names, f"{ENSEMBLE}_seed5.onnx", "loso_seed5.json"))
    if chance.random() < 0.3:
        (target / name).mkdir()
    else:
        shutil.copyfile(chance.choice(sorted(target.iterdir())), target / name)
    return Case(target, "refuse", f"{name!a} doesn't belong there")


def _swapped(chance: random.Random, folder: Path, material: Material) -> Case:
    """Two files change places, or one is the other's copy, with or without digests to match."""
    target = _copy(folder, material)
    before = digests(target)
    one, other = chance.sample(sorted(target.glob(chance.choice(("*.onnx", "*seed?.json")))), 2)
    data = one.read_bytes(), other.read_bytes()
    copied = chance.random() < 0.5
    one.write_bytes(data[1])
    other.write_bytes(data[1] if copied else data[0])
    if copied and chance.random() < 0.5:
        sign_again(target, before)
    return Case(target, "refuse", f"{one.name} is {other.name}")


def _surgery(chance: random.Random, folder: Path, material: Material) -> Case:
    """Another model than the one that is exported, with every digest to match."""
    target = _copy(folder, material)
    before = digests(target)
    done = operate(chance, chance.choice(sorted(target.glob("*.onnx"))))
    sign_again(target, before)
    return Case(target, "refuse", f"of a member, {done}")


def _surgery_all(chance: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    before = digests(target)
    state, done = chance.random(), ""
    for path in sorted(target.glob("*.onnx")):
        done = operate(random.Random(state), path)
    sign_again(target, before)
    return Case(target, "refuse", f"of all members, {done}")


def _untouched(_: random.Random, folder: Path, material: Material) -> Case:
    target = _copy(folder, material)
    return Case(target, "accept", "nothing was touched", _oracle(target, material))


# --- asked -------------------------------------------------------------------------------------


def _attempt(case: Case, out: Path, _: Material) -> Any:
    """``propose`` and whoever predicts must say the same."""
    theirs = out / "registry.json"
    theirs.write_text('{"schema_version": 1, "models": []}\n')
    before = tree_of(out)
    refusals: list[str] = []
    try:
        typed("propose", "--candidate", str(case.target), "--registry", str(theirs))
    except Refused as error:
        refusals.append(str(error))
    try:
        load_candidate(UPath(case.target))
    except UnusableInput:
        refusals.append("")
        if len(refusals) == 2:
            raise
    if tree_of(out) != before:
        raise Flawed("propose wrote something")
    if refusals and case.must == "refuse":
        who = "predict" if refusals[0] else "propose"
        raise Flawed(f"{who} accepts what the other refuses: {case.why}")
    if refusals:
        raise Refused(refusals[0] or "predict refuses")
    return case.target


def _command(case: Case, out: Path, _: Material) -> list[str]:
    theirs = str(out / "registry.json")
    return ["propose", "--candidate", str(case.target), "--registry", theirs]


_MAKERS: list[tuple[str, Maker]] = [
    *((f"one value ({n})", _one_value) for n in range(1, 7)),
    *((f"one value, signed again ({n})", _one_value_signed) for n in range(1, 4)),
    ("more values", _more_values),
    ("dressed otherwise", _dressed),
    ("spoiled file", _spoil_file),
    ("odd place", _odd_place),
    ("odd folder", _odd_folder),
    ("links", _linked),
    ("more files", _more_files),
    ("swapped", _swapped),
    *((f"ONNX surgery ({n})", _surgery) for n in range(1, 5)),
    ("ONNX surgery on all", _surgery_all),
    ("ONNX surgery on all again", _surgery_all),
    ("untouched", _untouched),
]

KIND = Kind("candidates", _MAKERS, _attempt, _command)
