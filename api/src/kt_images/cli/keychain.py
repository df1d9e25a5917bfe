"""Where keys are kept: for each service a file, which has the key, or says that the system's keyring has it.

The keyring is used where the library `keyring` is installed and finds one that it recommends.
"""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import platformdirs
from msgspec import Struct
from msgspec.json import Decoder, encode

from kt_images.cli.errors import CliError
from kt_images.client.images import MALFORMED

PROGRAM = "kt-images"
KEYRING = "the system's keyring"
RECOMMENDED = 1  # the priority of backends of `keyring` that keep secrets


class _Entry(Struct):
    """Of the service, whose name is for whoever looks into the folder, its key; None if the keyring has that."""

    service: str
    key: str | None


_read_entry = Decoder(_Entry).decode


def keep(service: str, key: str) -> str:
    """Keep the key for the service, in place of another; return where. Raises CliError."""
    path = _file(service)
    if path is None:
        raise CliError("There is no home folder to keep a key in; set HOME, or give the key in KT_IMAGES_KEY")
    backend = _keyring()
    in_keyring = backend is not None and _is_put(backend, service, key)
    _write(path, _Entry(service, None if in_keyring else key))
    return KEYRING if in_keyring else str(path)


def kept(service: str) -> str | None:
    """Return the key that is kept for the service, None if there is none. Raises CliError."""
    entry = _read(_file(service))
    if entry is None:
        return None
    if entry.key is not None:
        return entry.key
    backend = _keyring()
    if backend is None:
        raise CliError(f"The key for {service} is in {KEYRING}, which cannot be opened; kt-images login keeps it anew")
    try:
        key: str | None = backend.get_password(PROGRAM, service)
    except Exception as error:  # each backend has its own
        raise CliError(f"The key for {service} is in {KEYRING}, which does not give it; is it locked?") from error
    return key


def forget(service: str) -> bool:
    """Forget the key for the service; return whether there was one. Raises CliError."""
    path = _file(service)
    entry = _read(path)
    if path is None or entry is None:
        return False
    if entry.key is None and (backend := _keyring()):
        try:
            if backend.get_password(PROGRAM, service) is not None:
                backend.delete_password(PROGRAM, service)
        except Exception as error:
            raise CliError(f"The key for {service} cannot be removed from {KEYRING}; is it locked?") from error
    path.unlink(missing_ok=True)
    return True


def _keyring() -> Any:
    """Return the backend of `keyring`, None where there is none."""
    try:
        import keyring  # noqa: PLC0415 (it may be missing, and takes time)
    except ImportError:
        return None
    backend = keyring.get_keyring()
    return backend if backend.priority >= RECOMMENDED else None


def _is_put(backend: Any, service: str, key: str) -> bool:
    try:
        backend.set_password(PROGRAM, service, key)
    except Exception:  # noqa: BLE001 (each backend has its own; the file is as good)
        return False
    return True


def _file(service: str) -> Path | None:
    """Return the file of the service, None for a user without a home."""
    try:
        folder = platformdirs.user_config_path(PROGRAM, appauthor=False)
    except RuntimeError:
        return None
    file = folder / "keys" / f"{hashlib.sha256(service.encode()).hexdigest()[:32]}.json"
    return file if file.is_absolute() else None


def _read(path: Path | None) -> _Entry | None:
    if path is None:
        return None
    try:
        return _read_entry(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
    except MALFORMED as error:
        raise CliError(f"{path} is damaged; kt-images login writes it anew") from error


def _write(path: Path, entry: _Entry) -> None:
    """Write the file in one step, for the user's eyes only. Raises CliError."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(entry))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"The key cannot be kept in {path.parent}: {error.strerror}") from error
