"""The self-signed certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from vms.adapters import certificates
from vms.domain.errors import Failure

NOW_US = 1_795_428_780_000_000
YEAR_US = 365 * 86_400_000_000


def test_it_is_made_once_and_again_before_it_ends(tmp_path: Path) -> None:
    first = certificates.load_or_make(tmp_path, "192.0.2.7", NOW_US)
    for name in ("tls_certificate.pem", "tls_key.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert certificates.load_or_make(tmp_path, "192.0.2.7", NOW_US + YEAR_US) == first
    assert certificates.load_or_make(tmp_path, "192.0.2.7", NOW_US + 5 * YEAR_US) != first


def test_it_names_the_host(tmp_path: Path) -> None:
    made = certificates.load_or_make(tmp_path, "cam.example", NOW_US)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"cam.example", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert "127.0.0.1" in {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    anywhere = certificates.load_or_make(tmp_path / "..", "0.0.0.0", NOW_US)
    assert "0.0.0.0" not in anywhere.certificate_pem
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls_certificate.pem", tmp_path / "tls_key.pem")


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    certificates.load_or_make(tmp_path, "h", NOW_US)
    key = tmp_path / "tls_key.pem"
    with pytest.raises(Failure, match="cannot be read"):
        certificates.load(tmp_path / "missing.pem", key)
    with pytest.raises(Failure, match="cannot be read"):
        certificates.load(key, key)
    key.write_text("no key")
    with pytest.raises(Failure, match="cannot be read") as refused:
        certificates.load_or_make(tmp_path, "h", NOW_US)
    assert "no key" not in refused.value.detail
