"""SNS signatures: an RSA key of this embedded AWS, its certificate, and the strings SNS signs.

Source of the strings: Amazon SNS developer guide, page "Verifying the signatures of Amazon SNS messages".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def string_to_sign(message: Mapping[str, Any]) -> str:
    """The text whose signature an SNS message carries: its signed fields, each with its name, a line each.

    A field that the message does not have (Subject) is left out.
    """
    fields = _SIGNED[message["Type"]]
    return "".join(f"{name}\n{message[name]}\n" for name in fields if message.get(name) is not None)


@dataclass
class Signer:
    """Signs messages with a key that is made when first needed and kept in ``directory``."""

    directory: Path

    def sign(self, message: Mapping[str, Any], version: str = "1") -> str:
        """The ``Signature`` of a message: RSA over SHA-1 for version 1, over SHA-256 for version 2; base64."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303  # version 1 is SHA-1 by definition
        signature = self._key.sign(string_to_sign(message).encode(), PKCS1v15(), digest)
        return base64.b64encode(signature).decode()

    @property
    def certificate_name(self) -> str:
        """The last part of ``SigningCertURL``; another certificate has another name."""
        return f"SimpleNotificationService-{hashlib.sha256(self.certificate).hexdigest()[:32]}.pem"

    @cached_property
    def certificate(self) -> bytes:
        """The certificate that verifies the signatures, PEM."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            # The clock may run fast; the certificate outlives any run.
            .not_valid_after(now + timedelta(days=36500))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    @cached_property
    def _key(self) -> Any:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        path = self.directory / "sns-signing-key.pem"
        if path.exists():
            return serialization.load_pem_private_key(path.read_bytes(), None)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return key
