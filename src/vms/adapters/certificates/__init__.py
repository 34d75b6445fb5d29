"""A self-signed certificate for a server that nobody gave a better one."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

from vms.contracts.media import TlsMaterial
from vms.domain.errors import Failure

_LIFE = datetime.timedelta(days=5 * 365)
_RENEW_BEFORE = datetime.timedelta(days=30)


def load(certificate: Path, key: Path) -> TlsMaterial:
    """The certificate and key of two PEM files. Raises Failure(unavailable) when either cannot be read."""
    try:
        certificate_pem = certificate.read_text()
        key_pem = key.read_text()
        x509.load_pem_x509_certificate(certificate_pem.encode())
        serialization.load_pem_private_key(key_pem.encode(), None)
    except (OSError, ValueError, TypeError) as error:
        raise Failure("unavailable", f"the certificate {certificate} or its key {key} cannot be read") from error
    return TlsMaterial(certificate_pem=certificate_pem, key_pem=SecretStr(key_pem))


def load_or_make(directory: Path, host: str, now_us: int) -> TlsMaterial:
    """The self-signed certificate kept in `directory`, made at the first call and again before it ends."""
    certificate, key = directory / "tls_certificate.pem", directory / "tls_key.pem"
    now = datetime.datetime.fromtimestamp(now_us / 1e6, datetime.UTC)
    if certificate.exists() and key.exists():
        kept = x509.load_pem_x509_certificate(load(certificate, key).certificate_pem.encode())
        if kept.not_valid_after_utc - now > _RENEW_BEFORE:
            return load(certificate, key)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "VMS Enterprise (self-signed)")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM))
    return load(certificate, key)


def _names(host: str) -> list[x509.GeneralName]:
    hosts = dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname(), host])
    names: list[x509.GeneralName] = []
    for entry in hosts:
        try:
            address = ipaddress.ip_address(entry)
        except ValueError:
            if entry.isascii():
                names.append(x509.DNSName(entry))
        else:
            if not address.is_unspecified:
                names.append(x509.IPAddress(address))
    return names


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
