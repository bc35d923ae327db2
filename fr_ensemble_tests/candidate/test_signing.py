"""A signed candidate is what was signed, or it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from upath import UPath

from fr_ensemble_assets.candidate.signing import (
    PASSWORD_VARIABLE,
    PUBLIC_KEY_VARIABLE,
    SIGNATURE_FILE,
    sign_candidate,
    verify_signature,
)
from fr_ensemble_assets.cli.main import app
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_tests.conftest import Chain

pytest.importorskip("model_signing", reason="an extra: pip install fr-ensemble[signing]")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

SEED = "fr_regressor_v2_ensemble_v1_seed"


def make_keys(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """A pair of keys: where the private and where the public one lies."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    secret = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    paths = folder / f"{name}.pem", folder / f"{name}.pub"
    paths[0].write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, secret))
    paths[1].write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return paths


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"), "ours")


@pytest.fixture
def signed(tmp_path: Path, promoted_once: Chain, keys: tuple[Path, Path]) -> UPath:
    published = promoted_once[1].candidate_dir
    assert published is not None
    folder = UPath(tmp_path / "candidate")
    shutil.copytree(published, folder)
    sign_candidate(folder, keys[0])
    return folder


def call(*arguments: object) -> tuple[int, str]:
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return ended.exit_code, ended.stderr


def test_what_was_signed_is_verified_wherever_it_goes(
    tmp_path: Path, signed: UPath, keys: tuple[Path, Path]
) -> None:
    verify_signature(signed, keys[1])
    moved = UPath(shutil.copytree(signed, tmp_path / "under another name"))
    verify_signature(moved, keys[1])
    assert call("verify", "--candidate", moved, "--key", keys[1])[0] == 0


def flip(folder: UPath) -> None:
    data = bytearray((folder / f"{SEED}1.onnx").read_bytes())
    data[-200] ^= 1
    (folder / f"{SEED}1.onnx").write_bytes(bytes(data))


def swap(folder: UPath) -> None:
    (folder / f"{SEED}0.onnx").rename(folder / "x")
    (folder / f"{SEED}1.onnx").rename(folder / f"{SEED}0.onnx")
    (folder / "x").rename(folder / f"{SEED}1.onnx")


def link(folder: UPath) -> None:
    elsewhere = folder.parent / "elsewhere.onnx"
    (folder / f"{SEED}1.onnx").rename(elsewhere)
    (folder / f"{SEED}1.onnx").symlink_to(elsewhere)


def claim(folder: UPath) -> None:
    """Another statement under the old signature."""
    document = json.loads((folder / SIGNATURE_FILE).read_text())
    payload = document["dsseEnvelope"]["payload"]
    document["dsseEnvelope"]["payload"] = payload[:-8] + "AAAA" + payload[-4:]
    (folder / SIGNATURE_FILE).write_text(json.dumps(document))


def sign_as_another(folder: UPath) -> None:
    sign_candidate(folder, make_keys(Path(str(folder.parent)), "theirs")[0])


def sign_in_part(folder: UPath) -> None:
    """The owner's own signature, but one that leaves a member out."""
    from model_signing import hashing, signing

    key = next(Path(str(folder.parent)).glob("part.pem"))
    leaving_out = hashing.Config().set_ignored_paths(
        paths=[SIGNATURE_FILE, f"{SEED}1.onnx"], ignore_git_paths=False
    )
    config = signing.Config().use_elliptic_key_signer(private_key=key)
    config.set_hashing_config(leaving_out).sign(Path(str(folder)), Path(str(folder / "model.sig")))
    flip(folder)


def rename(folder: UPath) -> None:
    (folder / "PROMOTE.json").rename(folder / "HOLD.json")


DAMAGED: dict[str, tuple[Callable[[UPath], Any], str]] = {
    "one byte of a member": (flip, f"Hash mismatch for '{SEED}1.onnx'"),
    "one space in a document": (
        lambda f: (f / "PROMOTE.json").write_text((f / "PROMOTE.json").read_text() + " "),
        r"Hash mismatch for \W+PROMOTE\.json",
    ),
    "a file less": (lambda f: (f / "calibration.json").unlink(), "Missing files"),
    "a file more": (lambda f: (f / "more.txt").write_text("x"), "Extra files"),
    "a file of git's more": (lambda f: (f / ".gitattributes").write_text("x"), "Extra files"),
    "a folder more": (lambda f: (f / "more").mkdir(), "none over more"),
    "a file renamed": (rename, "Extra files"),
    "two members swapped": (swap, "Hash mismatch"),
    "a link for a file": (link, "symlink"),
    "another statement": (claim, "expected what the owner"),
    "another's signature": (sign_as_another, "expected what the owner"),
    "no signature": (lambda f: (f / SIGNATURE_FILE).unlink(), "found no model.sig"),
    "half a signature": (
        lambda f: (f / SIGNATURE_FILE).write_bytes((f / SIGNATURE_FILE).read_bytes()[:200]),
        "expected what the owner",
    ),
    "no JSON for a signature": (
        lambda f: (f / SIGNATURE_FILE).write_bytes(b"\xff\x00"),
        "expected what the owner",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_signed_candidate_is_refused_with(
    signed: UPath, keys: tuple[Path, Path], name: str
) -> None:
    damage, message = DAMAGED[name]
    damage(signed)
    with pytest.raises(UnusableInput, match=message):
        verify_signature(signed, keys[1])


def test_signature_that_leaves_a_file_out_is_refused(tmp_path: Path, signed: UPath) -> None:
    _, public = make_keys(tmp_path, "part")
    sign_in_part(signed)
    with pytest.raises(UnusableInput, match=f"found none over {SEED}1.onnx"):
        verify_signature(signed, public)


def test_signing_again_replaces_the_signature(
    tmp_path: Path, signed: UPath, keys: tuple[Path, Path]
) -> None:
    private, public = make_keys(tmp_path, "next")
    sign_candidate(signed, private)
    verify_signature(signed, public)
    with pytest.raises(UnusableInput, match="expected what the owner"):
        verify_signature(signed, keys[1])


def test_configured_key_is_demanded_by_what_reads_a_candidate(
    tmp_path: Path,
    signed: UPath,
    keys: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PUBLIC_KEY_VARIABLE, str(keys[1]))
    told = ("--candidate", signed)
    assert call("export", *told, "--out", tmp_path / "kit")[0] == 0
    assert call("verify", *told)[0] == 0
    (signed / SIGNATURE_FILE).unlink()
    for command in (("export", "--out", tmp_path / "other"), ("verify",)):
        code, sentence = call(*command, *told)
        assert (code, "expected a signed candidate" in sentence) == (2, True)
    assert not (tmp_path / "other").exists()


def test_encrypted_key_needs_its_password(
    tmp_path: Path, signed: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_keys(tmp_path, "locked", b"sesame")
    with pytest.raises(UnusableInput, match=f"password in {PASSWORD_VARIABLE}"):
        sign_candidate(signed, private)
    monkeypatch.setenv(PASSWORD_VARIABLE, "sesame")
    sign_candidate(signed, private)
    verify_signature(signed, public)


@pytest.mark.parametrize("content", [None, b"", b"no key", b"\xff\xfe"])
def test_what_is_no_key_is_told_in_one_sentence(
    tmp_path: Path, signed: UPath, content: bytes | None
) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    before = (signed / SIGNATURE_FILE).read_bytes()
    for command in ("sign", "verify"):
        code, sentence = call(command, "--candidate", signed, "--key", key)
        assert code == 2
        assert "expected a p" in sentence
        assert sentence.count("\n") <= 2
    assert (signed / SIGNATURE_FILE).read_bytes() == before
