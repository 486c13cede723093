"""Authority: the certificate authority of one embedded AWS, which its TLS endpoint and its databases are certified by.

Made when first needed and kept in the state directory, so that a restarted AWS is trusted by whoever trusted it
before.  Certificates carry what strict verification asks for (Python 3.13 verifies strictly by default).
"""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

_AUTHORITY_DAYS = 36500
_SERVER_DAYS = 397
"""What browsers and Apple's and Go's verifiers still accept of a server; certificates are made anew at each start."""


@dataclass
class Authority:
    """Certifies servers on this machine.  ``directory`` is the AWS's state directory; files go into ``tls`` there."""

    directory: Path
    _made: dict[str, tuple[Path, Path]] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def ca_file(self) -> Path:
        """The authority's own certificate, PEM: what a client must trust and all it needs to trust."""
        with self._lock:
            return self._own[2]

    def certificate_for(self, host: str) -> tuple[Path, Path]:
        """A server's certificate and private key, PEM files; ``host`` is a name or an IP address.

        The same files each time for the same host.  The key is readable by its owner only.
        """
        with self._lock:
            if host not in self._made:
                self._made[host] = self._certify(host)
            return self._made[host]

    def _certify(self, host: str) -> tuple[Path, Path]:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        authority, authority_key, _ = self._own
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(host, key.public_key(), _SERVER_DAYS)
            .issuer_name(authority.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_subject(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(_authority_key_identifier(authority), critical=False)
        )
        name = "".join(character if character.isalnum() else "-" for character in host)
        certificate_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        _write_key(key_file, key)
        certificate_file.write_bytes(_pem(_signed(builder, authority_key)))
        return certificate_file, key_file

    @property
    def _folder(self) -> Path:
        folder = self.directory / "tls"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def _own(self) -> tuple[Any, Any, Path]:
        """The authority's certificate and key, and the certificate's file."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        certificate_file, key_file = self._folder / "ca.pem", self._folder / "ca-key.pem"
        if certificate_file.exists() and key_file.exists():
            key: Any = serialization.load_pem_private_key(key_file.read_bytes(), None)
            return x509.load_pem_x509_certificate(certificate_file.read_bytes()), key, certificate_file
        key = ec.generate_private_key(ec.SECP256R1())
        name = "Tocsin embedded AWS"
        certificate = _signed(
            _builder(name, key.public_key(), _AUTHORITY_DAYS)
            .issuer_name(_name(name))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True),
            key,
        )
        _write_key(key_file, key)
        certificate_file.write_bytes(_pem(certificate))
        return certificate, key, certificate_file


def _builder(name: str, public_key: Any, days: int) -> Any:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(text: str) -> Any:
    from cryptography import x509

    # A common name holds 64 characters (RFC 5280, appendix A.1); verifiers read the alternative name.
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])


def _subject(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(authority: Any) -> Any:
    from cryptography import x509

    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _signed(builder: Any, key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    content: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return content


def _write_key(path: Path, key: Any) -> None:
    from cryptography.hazmat.primitives import serialization

    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
