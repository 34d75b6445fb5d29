"""Object storages by obstore: S3 and what speaks like it (MinIO), Google's, Azure's, a directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from vms.domain.errors import Failure

# What one part of an upload is; S3 takes 10,000 parts at most, so files of 80 GB.
_PART_BYTES = 8 << 20


class ObstoreObjects:
    """Satisfies `vms.contracts.objects.ObjectStorage`. `url` names bucket and prefix (`s3://bucket/prefix`); `options`
    are obstore's configuration keys (endpoint, access_key_id, secret_access_key, region …).

    Raises Failure(invalid) for a URL or an option that obstore does not know.
    """

    def __init__(self, url: str, options: Mapping[str, str], *, timeout_s: float = 30.0) -> None:
        settings: dict[str, Any] = {"mkdir": True} if url.startswith("file:") else {}
        if not url.startswith(("file:", "memory:")):
            settings = {
                "config": dict(options),
                "client_options": {"timeout": timedelta(seconds=timeout_s), "allow_http": True},
                "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=timeout_s)},
            }
        try:
            self._store = from_url(url, **settings)
        except (BaseError, ValueError, TypeError) as error:
            raise Failure("invalid", f"the object storage cannot be set up: {_first_line(error)}") from error
        except BaseException as error:
            # obstore panics over options of its HTTP client (allow_http) among those of the storage.
            if type(error).__name__ != "PanicException":
                raise
            names = ", ".join(sorted(options))
            detail = f"the object storage cannot be set up: one of these is no option of this kind of storage: {names}"
            raise Failure("invalid", detail) from None

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        with _translated(key):
            # One request in flight: the rate that `chunks` keeps to is the rate of the upload.
            obstore.put(self._store, key, iter(chunks), use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=1)

    def size_bytes(self, key: str) -> int | None:
        try:
            with _translated(key):
                return int(obstore.head(self._store, key)["size"])
        except Failure as failure:
            if failure.kind == "not_found":
                return None
            raise

    def read(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        with _translated(key):
            found = bytes(obstore.get_range(self._store, key, start=offset, length=length))
        if len(found) != length:
            raise Failure(
                "malformed", f"object {key}: {len(found)} of {length} bytes at {offset}", code="object-too-short"
            )
        return found

    def remove(self, key: str) -> None:
        try:
            with _translated(key):
                obstore.delete(self._store, key)
        except Failure as failure:
            if failure.kind != "not_found":
                raise


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Failure("not_found", f"there is no object {key}", code="object-not-found") from error
    except Failure:
        raise
    except (BaseError, OSError, ValueError) as error:
        raise Failure("unavailable", f"the object storage fails at {key}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
