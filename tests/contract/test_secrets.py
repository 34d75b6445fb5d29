"""Sealers and grant signers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from vms.adapters.memory.accounts import MemoryGrantSigner
from vms.adapters.memory.sealing import MemorySealer
from vms.adapters.sealing import AesGcmSealer, load_or_make_key
from vms.contracts.grants import Grant, GrantSigner
from vms.contracts.secrets import Sealer
from vms.domain.errors import Failure

KEY = bytes(range(32))


@pytest.fixture(params=["memory", "aes-gcm"])
def sealer(request: pytest.FixtureRequest) -> Sealer:
    return MemorySealer() if request.param == "memory" else AesGcmSealer(KEY)


@pytest.mark.parametrize("secret", ["", "pässwörd", "x" * 1000])
def test_a_secret_is_sealed_and_opened(sealer: Sealer, secret: str) -> None:
    sealed = sealer.seal(secret, "camera-1")
    assert sealer.unseal(sealed, "camera-1") == secret
    assert sealer.seal(secret, "camera-1") != sealed
    if secret:
        assert secret.encode() not in sealed


def test_a_secret_is_its_owner_s_alone(sealer: Sealer) -> None:
    sealed = sealer.seal("secret", "camera-1")
    with pytest.raises(Failure) as refused:
        sealer.unseal(sealed, "camera-2")
    assert refused.value.kind == "malformed"
    assert "secret" not in refused.value.detail.replace("a sealed secret", "")


def test_altered_or_cut_seals_are_refused(sealer: Sealer) -> None:
    sealed = sealer.seal("secret", "c")
    for at in range(len(sealed)):
        with pytest.raises(Failure):
            sealer.unseal(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], "c")
        with pytest.raises(Failure):
            sealer.unseal(sealed[:at], "c")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Failure, match="its key is another"):
        AesGcmSealer(KEY[::-1]).unseal(AesGcmSealer(KEY).seal("secret", "c"), "c")


def test_the_sealing_key_is_kept_and_guarded(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    key = load_or_make_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_key(path) == key
    path.chmod(0o640)
    with pytest.raises(Failure, match="others can read"):
        load_or_make_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Failure, match="5 bytes, not 32"):
        load_or_make_key(path)


@pytest.fixture(params=["memory", "media"])
def signer(request: pytest.FixtureRequest) -> GrantSigner:
    if request.param == "memory":
        return MemoryGrantSigner(KEY)
    if importlib.util.find_spec("vms_media") is None:
        pytest.skip("vms_media is not built")
    from vms.adapters.media import MediaGrantSigner  # noqa: PLC0415 (only where it is built)

    return MediaGrantSigner(KEY)


GRANTS = [
    Grant(camera_id="c", action="live", starts_before=10, expires_at=20, subject="admin"),
    Grant(
        camera_id="c-1",
        action="playback",
        stream="sub",
        start_us=1,
        end_us=2**53,
        starts_before=10,
        expires_at=20,
        subject="Ünï",
    ),
    Grant(camera_id="e", action="export", starts_before=0, expires_at=0, subject=""),
]


@pytest.mark.parametrize("grant", GRANTS)
def test_grants_are_signed_and_read_alike(signer: GrantSigner, grant: Grant) -> None:
    token = signer.sign(grant)
    assert token.startswith("v1.")
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert signer.verify(token) == grant
    # Both sides of a link must understand each other.
    assert MemoryGrantSigner(KEY).verify(token) == grant
    assert signer.verify(MemoryGrantSigner(KEY).sign(grant)) == grant


def test_grants_of_others_are_refused(signer: GrantSigner) -> None:
    token = signer.sign(GRANTS[0])
    others = ["", "v1", "v1..", "x" * 1000, "é", token[:-2], token[1:], "v2" + token[2:], token + "."]
    for other in (*others, MemoryGrantSigner(KEY[::-1]).sign(GRANTS[0])):
        with pytest.raises(Failure) as refused:
            signer.verify(other)
        assert refused.value.kind == "unauthorized"
