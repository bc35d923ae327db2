"""Signed by whoever publishes it: the whole folder, in OpenSSF's model-signing format, by key.

A digest says that files fit each other; a signature says who vouches for them. Keys alone are
used: signing without one needs a network. The library is an extra (``fr-ensemble[signing]``).
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from upath import UPath

from fr_ensemble_assets.foundation import store
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.versions import standing

#: The format's own default name; it lies in the folder and goes where that goes.
SIGNATURE_FILE = "model.sig"
#: Whoever sets it trusts signed candidates alone: the path of a public key (PEM).
PUBLIC_KEY_VARIABLE = "FR_ENSEMBLE_PUBLIC_KEY"
PASSWORD_VARIABLE = "FR_ENSEMBLE_KEY_PASSWORD"
#: One over thirty files takes 10 KB.
_SIGNATURE_BYTES_MAX = 1 << 20
_REMEDY = "ask who published it, and don't use it"


def sign_candidate(folder: UPath, key: Path) -> UPath:
    """Sign every file of ``folder`` with a private key; returns where the signature lies.

    An older signature is replaced. The key is PEM, on the curve P-256, P-384 or P-521; for an
    encrypted one the password stands in ``FR_ENSEMBLE_KEY_PASSWORD``.

    Raises
    ------
    UnusableInput
        If the library is missing, or the key can't be used.
    """
    folder = standing(folder)
    signing = _library("signing")
    _require_key(key, "a private key")
    password = os.environ.get(PASSWORD_VARIABLE)
    try:
        config = signing.Config().use_elliptic_key_signer(
            private_key=key, password=password.encode() if password else None
        )
    except Exception as error:  # whatever the library makes of a key
        raise UnusableInput(
            f"{key}: expected a private key in PEM on the curve P-256, P-384 or P-521 (password "
            f"in {PASSWORD_VARIABLE}), found {_first_line(error)}; make one with 'openssl ecparam "
            "-name prime256v1 -genkey -noout -out KEY'."
        ) from error
    config.set_hashing_config(_covering_everything())
    with tempfile.TemporaryDirectory() as made:
        written = Path(made) / SIGNATURE_FILE
        try:
            with _on_disk(folder) as local:
                config.sign(local, written)
        except (ValueError, OSError) as error:
            raise UnusableInput(
                f"{folder}: expected a folder of plain files to sign, found {_first_line(error)}."
            ) from error
        store.put(folder / SIGNATURE_FILE, written.read_bytes())
    return folder / SIGNATURE_FILE


def verify_signature(folder: UPath, key: Path) -> None:
    """Prove that ``folder`` is, file by file, what the owner of the key signed.

    Parameters
    ----------
    key
        The public key (PEM).

    Raises
    ------
    UnusableInput
        If it isn't signed, not with this key, or any file was altered, added or removed.
    """
    with _on_disk(standing(folder)) as local:
        _verify(UPath(local), key, str(folder))


def require_signature(folder: UPath, files: Mapping[str, bytes]) -> None:
    """Where ``FR_ENSEMBLE_PUBLIC_KEY`` names a key: were ``files`` signed by its owner?

    Asked of the bytes that were read from ``folder``, by name, not of what lies there by now.

    Raises
    ------
    UnusableInput
        As :func:`verify_signature`.
    """
    configured = os.environ.get(PUBLIC_KEY_VARIABLE)
    if not configured:
        return
    lying = standing(folder)
    _require_signed(lying, str(folder))
    signature = store.read_regular(lying / SIGNATURE_FILE, "a signature", _SIGNATURE_BYTES_MAX)
    with tempfile.TemporaryDirectory() as made:
        for name, data in {**files, SIGNATURE_FILE: signature}.items():
            (Path(made) / name).write_bytes(data)
        _verify(UPath(made), Path(configured), str(folder))


@contextmanager
def _on_disk(folder: UPath) -> Iterator[Path]:
    """The folder, or a copy of it where it lies in a store of objects: the library wants a disk."""
    if store.is_local(folder):
        yield Path(str(folder))
        return
    with tempfile.TemporaryDirectory() as made:
        for name in store.names(folder):
            (Path(made) / name).write_bytes(store.read(folder / name, "a candidate's file"))
        yield Path(made)


def _require_signed(folder: UPath, where: str) -> None:
    signature = folder / SIGNATURE_FILE
    if not (signature.is_file() if store.is_local(folder) else store.exists(signature)):
        raise UnusableInput(
            f"{where}: expected a signed candidate, found no {SIGNATURE_FILE}; {_REMEDY}."
        )


def _verify(folder: UPath, key: Path, where: str) -> None:
    verifying = _library("verifying")
    _require_key(key, "a public key")
    _require_signed(folder, where)
    signature = folder / SIGNATURE_FILE
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    except Exception as error:  # whatever the library makes of a key
        raise UnusableInput(
            f"{key}: expected a public key in PEM, found {_first_line(error)}."
        ) from error
    config.set_hashing_config(_covering_everything())
    try:
        config.verify(Path(str(folder)), Path(str(signature)))
        uncovered = _uncovered(folder, signature)
    except Exception as error:  # a signature is foreign data, and may fail in many ways
        raise UnusableInput(
            f"{where}: expected what the owner of {key.name} signed, found "
            f"{_first_line(error)}; {_REMEDY}."
        ) from error
    if uncovered:
        raise UnusableInput(
            f"{where}: expected a signature over every file, found none over "
            f"{', '.join(uncovered)}; {_REMEDY}."
        )


def _library(part: str) -> ModuleType:
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise UnusableInput(
            "signatures: expected the package 'model-signing', found none; install it with "
            "'pip install fr-ensemble[signing]'."
        ) from error
    found: ModuleType = getattr(model_signing, part)
    return found


def _covering_everything() -> Any:
    """Left to itself the library passes over git's files, which could then be slipped in."""
    config = _library("hashing").Config()
    return config.set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)


def _uncovered(folder: UPath, signature: UPath) -> list[str]:
    """Files that an authentic signature says nothing about: its maker may have left some out."""
    envelope = json.loads(signature.read_bytes())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    covered = {resource["name"] for resource in statement["predicate"]["resources"]}
    there = {entry.name for entry in folder.iterdir()} - {SIGNATURE_FILE}
    return sorted(there - covered)


def _require_key(key: Path, what: str) -> None:
    found = store.found_at(key)
    if found != "a file":
        raise UnusableInput(f"{key}: expected {what}, found {found}.")


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"'{lines[0][:200]}'" if lines else type(error).__name__
