"""Fixtures that several suites use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from joserfc.jwk import RSAKey

from tests.memory_installation import MemoryInstallation
from vms.adapters.tokens import JwtSigner


@pytest.fixture(scope="session")
def token_signer() -> JwtSigner:
    """One key pair for the whole run: making one takes a tenth of a second."""
    return JwtSigner(RSAKey.generate_key(2048, private=True))


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """What a test sets up for logging ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def vms(tmp_path: Path, token_signer: JwtSigner) -> Iterator[MemoryInstallation]:
    installation = MemoryInstallation(tmp_path / "exports", token_signer)
    yield installation
    installation.close()
