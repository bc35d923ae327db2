"""Registries: what ``propose`` prints a diff for; real ``git apply`` says what the diff does."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from fr_ensemble_tests.attack import places
from fr_ensemble_tests.attack.case import Case, Flawed, Kind, Maker
from fr_ensemble_tests.attack.material import Material
from fr_ensemble_tests.attack.product import typed
from fr_ensemble_tests.attack.tables import DEEP

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SETTLED = ("license_url", "sigstore_bundle")
_OURS = re.compile(r"fr_regressor_v2_ensemble_v1_seed[0-4]")


class Proposed(NamedTuple):
    """The diff, and where the registry lies."""

    diff: bytes
    target: Path


# --- an independent view -----------------------------------------------------------------------


def raw(text: str) -> Any:
    """A document whose strings and numbers are as they are written, and objects lists of pairs."""
    quoted = _STRING.sub(lambda match: json.dumps(match[0]), text)
    return json.loads(quoted, object_pairs_hook=tuple, parse_float=str, parse_int=str)


def _split(text: str) -> tuple[Any, list[Any], list[dict[str, Any]]]:
    """A registry without its rows, the rows that aren't ours, and ours."""
    top = raw(text)
    rest = tuple(pair for pair in top if json.loads(pair[0]) != "models")
    rows = [row for key, value in top if json.loads(key) == "models" for row in value]
    theirs = [row for row in rows if not _OURS.fullmatch(_id(row))]
    ours = [row for row in json.loads(text)["models"] if _OURS.fullmatch(str(row.get("id")))]
    return rest, theirs, ours


def _id(row: Any) -> str:
    """Of a raw row, whatever escapes its key and value are written with."""
    return next((str(json.loads(value)) for key, value in row if json.loads(key) == "id"), "")


def applied(before: bytes, proposed: Proposed, path: str) -> bytes:
    """What ``git apply`` makes of the diff, in a tree of its own."""
    top = proposed.target.parent / "applied-tree"
    file = top / path
    file.parent.mkdir(parents=True)
    file.write_bytes(before)
    for words, given in ((["init", "-q"], b""), (["apply", "-"], proposed.diff)):
        command = ["git", "-c", "core.autocrlf=false", *words]
        ran = subprocess.run(command, cwd=top, input=given, capture_output=True, check=False)
        if ran.returncode:
            raise ValueError(ran.stderr.decode(errors="replace")[:200])
    return file.read_bytes()


def _changes_only_ours(before: bytes, path: str, material: Material) -> Any:
    wanted = json.loads((material.candidate / "registry.json").read_text())["models"]

    def ask(proposed: Proposed) -> str:
        try:
            after = applied(before, proposed, path).decode() if proposed.diff else before.decode()
        except ValueError as error:
            return f"git can't apply the diff: {error}"
        rest, theirs, there = _split(before.decode())
        # Whoever has the row has settled these two; ours are for a row that is added.
        settled = {(row["id"], key) for row in there for key in _SETTLED if key in row}
        rest_after, theirs_after, ours = _split(after)
        if rest != rest_after:
            return "something beside the rows changed"
        if theirs != theirs_after:
            return "a row that isn't ours changed"
        by_id = {row["id"]: row for row in ours}
        if len(by_id) != len(ours) or set(by_id) != {row["id"] for row in wanted}:
            return "our five rows are not there once each"
        for row in wanted:
            told = by_id[row["id"]]
            ours_alone = [key for key in row if (row["id"], key) not in settled]
            if any(json.dumps(told.get(key)) != json.dumps(row[key]) for key in ours_alone):
                return f"{row['id']} is not what we propose"
        return _line_ends(before, after.encode())

    return ask


def _line_ends(before: bytes, after: bytes) -> str:
    if before.endswith(b"\n") != after.endswith(b"\n"):
        return "the end of the file changed"
    crlf = before.count(b"\r\n")
    if crlf and crlf == before.count(b"\n") and after.count(b"\r\n") != after.count(b"\n"):
        return "line ends are mixed now"
    return ""


# --- registries that are there -----------------------------------------------------------------


def _their_rows(chance: random.Random) -> list[dict[str, Any]]:
    names = ["a", "dists_v1", "fr_regressor_v1", "fr_regressor_v2", "nr_z", "zz", "lpips_sq_v1"]
    chance.shuffle(names)
    notes = ("plain", "6→16 — tiny", "tab\there", 'quote " and \\ and \u2028', "a/b", "\x7f", "😀")
    return [
        {
            "id": name,
            "kind": chance.choice(("nr", "fr")),
            "onnx": f"{name}.onnx",
            "sha256": "f" * 64,
            "opset": chance.choice((17, 17.0)),
            "notes": chance.choice(notes),
            "x": chance.choice(([], {}, [1, {"models": []}], {"id": "y"}, 1e400, 0.10, None)),
        }
        for name in names[: chance.randrange(8)]
    ]


def _stale_rows(chance: random.Random, material: Material) -> list[dict[str, Any]]:
    """Some of our rows as they may stand there: scaffolds, half of the keys, more keys."""
    ours = json.loads((material.candidate / "registry.json").read_text())["models"]
    stale = []
    for row in chance.sample(ours, chance.choice((0, 0, 1, 3, 5))):
        made = row | chance.choice(
            (
                {},
                {"sha256": "e" * 64, "smoke": True, "notes": "scaffold"},
                {"sigstore_bundle": "x", "license_url": "https://x", "notes": "é\n"},
                {"smoke": 0, "opset": 17.0},
                {"description": {"id": "fr_regressor_v2_ensemble_v1_seed0"}},
            )
        )
        for key in chance.sample([k for k in made if k != "id"], chance.choice((0, 0, 2, 5))):
            del made[key]
        keys = list(made)
        chance.shuffle(keys)
        stale.append({key: made[key] for key in keys})
    return stale


def _registry(chance: random.Random, material: Material) -> dict[str, Any]:
    rows = [*_their_rows(chance), *_stale_rows(chance, material)]
    if chance.random() < 0.7:
        rows.sort(key=lambda row: str(row["id"]))
    made = {"$schema": "./registry.schema.json", "schema_version": 1, "models": rows}
    if chance.random() < 0.3:
        made = {"models": rows, "models_": [{"models": []}], "x": {"models": [1]}}
    return made


def _layout(chance: random.Random, document: Any) -> str:
    indent = chance.choice((None, 0, 1, 2, 2, 3, 4, "\t", " \t"))
    separators = chance.choice((None, (",", ":"), (" , ", " : ")))
    ascii_only = chance.random() < 0.5
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=ascii_only)
    ends = chance.choice(("\n", "\n", "\r\n", "\n\n"))
    return text.replace("\n", ends) + chance.choice(("\n", "", "\r\n", "  ", "\n\n\n"))


def _case(folder: Path, material: Material, data: bytes, must: str = "either") -> Case:
    target = folder / "registry.json"
    target.write_bytes(data)
    oracle = _changes_only_ours(data, "registry.json", material)
    return Case(target, must, "the diff changes our rows alone", oracle)  # type: ignore[arg-type]


def _strict(text: str) -> bool:
    """Whether a text is JSON as the standard has it, with no key twice."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def never(name: str) -> Any:
        raise ValueError(name)

    try:
        json.loads(text, object_pairs_hook=distinct, parse_constant=never)
    except (ValueError, RecursionError):
        return False
    return True


def _any(chance: random.Random, folder: Path, material: Material) -> Case:
    """A registry in any layout: good as long as it is JSON."""
    text = _layout(chance, _registry(chance, material))
    return _case(folder, material, text.encode(), "accept" if _strict(text) else "either")


def _odd_space(chance: random.Random, folder: Path, material: Material) -> Case:
    """White space wherever JSON allows it, and none where it needs none."""
    text = json.dumps(_registry(chance, material), ensure_ascii=False)
    spaces = ("", "", " ", "\n", "\t", "\r\n", "\n\n   ", " \n\t\r\n ")
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    made = "".join(
        part
        if part.startswith('"')
        else re.sub(
            r"[\[\]{},:]", lambda m: chance.choice(spaces) + m[0] + chance.choice(spaces), part
        )
        for part in parts
    )
    return _case(folder, material, made.encode(), "accept" if _strict(made) else "either")


def _other_writing(chance: random.Random, folder: Path, material: Material) -> Case:
    """The same strings and numbers, written in other ways."""
    text = json.dumps(_registry(chance, material), indent=2)
    text = text.replace(
        '"x": 0.1', f'"x": {chance.choice(("0.100", "1E-1", "10e-2", "-0", "1e999"))}'
    )
    text = text.replace("/", chance.choice(("/", "\\/", "\\u002f")))
    if chance.random() < 0.3:
        text = text.replace('"id"', '"\\u0069d"')
    if chance.random() < 0.3:
        text = text.replace(
            "fr_regressor_v2_ensemble_v1_seed1", "fr_regressor_v2_ensemble_v1_seed\\u0031"
        )
    return _case(folder, material, text.encode())


def _twice(chance: random.Random, folder: Path, material: Material) -> Case:
    """A row of ours, or a key, that stands twice."""
    ours = json.loads((material.candidate / "registry.json").read_text())["models"]
    document = _registry(chance, material)
    how = chance.randrange(3)
    if how == 0:
        document["models"] += [ours[0], ours[0] | {"sha256": "0" * 64}]
        text = json.dumps(document, indent=2)
    elif how == 1:
        text = json.dumps(document, indent=2)[:-2] + ',\n  "models": []\n}\n'
    else:
        document["models"].append(ours[1])
        text = json.dumps(document, indent=2)
        text = text.replace('"smoke": false', '"smoke": true, "smoke": false')
    return Case(_written(folder, text.encode()), "refuse", "something stands twice")


def _written(folder: Path, data: bytes) -> Path:
    target = folder / "registry.json"
    target.write_bytes(data)
    return target


_NO_REGISTRY: tuple[bytes, ...] = (
    *(b"", b"\n", b"null", b"[]", b"{}", b'"x"', b"1", b"{", b'{"models": {}}', b'{"models": 1}'),
    *(b'{"models": [1]}', b'{"models": [{}]}', b'{"models": [{"id": 1}]}', b'{"models": null}'),
    *(b'{"models": [[]]}', b'{"models": [{"id": null}]}', b"\xff\xfe{}", b'{"models": [],}'),
    *(b"{'models': []}", b'{"models": [] // x\n}', b'{"models": []} x', DEEP.encode()),
    *(b'{"models": [{"id": "a"},]}', b'{"models": ' + DEEP.encode(), b"\x00", b"<registry/>"),
    '{"models": []}'.encode("utf-16"),
    b'{"models": [], "x": "\xc3"}',
)


def _no_registry(chance: random.Random, folder: Path, _: Material) -> Case:
    data = chance.choice(_NO_REGISTRY)
    return Case(_written(folder, data), "refuse", f"{data[:30]!r} is no registry")


def _odd_constants(chance: random.Random, folder: Path, material: Material) -> Case:
    """What only Python takes for JSON, and what no program can keep: left as it is, or refused."""
    value = chance.choice(("NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '"\\u0000"'))
    text = _layout(chance, _registry(chance, material) | {"y": "@"}).replace('"@"', value)
    return _case(folder, material, text.encode())


def _marked(chance: random.Random, folder: Path, material: Material) -> Case:
    text = _layout(chance, _registry(chance, material)).encode()
    return _case(folder, material, b"\xef\xbb\xbf" + text)


def _spoiled(chance: random.Random, folder: Path, material: Material) -> Case:
    data = bytearray(_layout(chance, _registry(chance, material)).encode())
    at = chance.randrange(len(data))
    if chance.random() < 0.5:
        data[at] ^= 1 << chance.randrange(8)
    else:
        del data[at : at + chance.choice((1, 5, 100000))]
    return _case(folder, material, bytes(data))


def _large(chance: random.Random, folder: Path, material: Material) -> Case:
    rows = [{"id": f"m{n:06}", "notes": "x" * 40} for n in range(chance.choice((2000, 20_000)))]
    document = {"models": [*rows, *_stale_rows(chance, material)]}
    text = json.dumps(document, indent=chance.choice((None, 2)))
    return _case(folder, material, text.encode())


def _place(chance: random.Random, folder: Path, _: Material) -> Case:
    target = folder / "registry.json"
    kind = places.put(chance, target)
    return Case(target, "refuse", f"the registry is a {kind}")


def _in_a_tree(chance: random.Random, folder: Path, material: Material) -> Case:
    """A registry deep in a git tree, whose path git may have to quote."""
    odd = ("model/tiny", "with space", "é", 'q"uote', "back\\slash", "tab\there", "new\nline")
    parts = (chance.choice((*odd, "a/b/c", "-x", "{}", os.fsdecode(b"\xff"))), "registry.json")
    top = folder / "tree"
    target = top.joinpath(*parts)
    target.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=top, check=True)
    data = _layout(chance, _registry(chance, material)).encode()
    target.write_bytes(data)
    oracle = _changes_only_ours(data, os.path.join(*parts), material)  # noqa: PTH118
    return Case(target, "either", "the diff changes our rows alone", oracle)


def _linked(chance: random.Random, folder: Path, material: Material) -> Case:
    """A link to a registry elsewhere: the diff is for what it leads to, by that one's name."""
    data = _layout(chance, _registry(chance, material)).encode()
    (folder / "real.json").write_bytes(data)
    target = folder / "registry.json"
    target.symlink_to(folder / "real.json")
    for_either = [
        _changes_only_ours(data, name, material) for name in ("real.json", "registry.json")
    ]

    def ask(proposed: Proposed) -> str:
        name = b"real.json" if b"real.json" in proposed.diff[:200] else b"registry.json"
        return str(for_either[name != b"real.json"](proposed))

    return Case(target, "either", "the diff changes our rows alone", ask)


def _attempt(case: Case, out: Path, material: Material) -> Proposed:
    words = ["--candidate", str(material.candidate), "--registry", str(case.target)]
    before = case.target.read_bytes() if case.target.is_file() else b""
    result = typed("propose", *words)
    if case.target.is_file() and case.target.read_bytes() != before:
        raise Flawed("the registry was written")
    made = out / "diff"
    made.mkdir()
    return Proposed(result.stdout_bytes, made / "registry.json")


def _command(case: Case, _: Path, material: Material) -> list[str]:
    return ["propose", "--candidate", str(material.candidate), "--registry", str(case.target)]


_MAKERS: list[tuple[str, Maker]] = [
    *((f"any layout ({n})", _any) for n in range(1, 5)),
    ("odd white space", _odd_space),
    ("odd white space again", _odd_space),
    ("another writing", _other_writing),
    ("twice", _twice),
    ("no registry", _no_registry),
    ("no registry again", _no_registry),
    ("odd constants", _odd_constants),
    ("byte order mark", _marked),
    ("spoiled", _spoiled),
    ("large", _large),
    ("odd place", _place),
    ("in a tree", _in_a_tree),
    ("in a tree again", _in_a_tree),
    ("link", _linked),
]

KIND = Kind("registries", _MAKERS, _attempt, _command)
