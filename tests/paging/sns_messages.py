"""Messages signed as Amazon SNS signs them, by keys and certificates of these tests."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="signatures need cryptography: pip install tocsin[embedded]")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:111122223333:live-tocsin-payments-page"
ADDRESS = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
_ORDER = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    name: str = "sns.amazonaws.com",
    *,
    names: Sequence[str] = (),
    since: datetime = NOW - timedelta(days=30),
    until: datetime = NOW + timedelta(days=300),
    key: Any = None,
) -> bytes:
    """A certificate, PEM; ``names`` are its alternative names."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key((key or rsa_key()).public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    return made.sign(key or rsa_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def elliptic_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def signed(kind: str = "Notification", version: str = "2", *, key: Any = None, **fields: Any) -> dict[str, Any]:
    """A message with a good signature of the key."""
    message: dict[str, Any] = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": '{"AlarmName": "live-shop-page", "NewStateValue": "OK"}',
        "Timestamp": "2026-11-21T08:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": ADDRESS,
    }
    if kind == "Notification":
        message["Subject"] = 'OK: "live-shop-page" in EU (Ireland)'
    else:
        message |= {
            "Token": "2336412f37",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        }
    message = {name: value for name, value in {**message, **fields}.items() if value is not None}
    return {**message, "Signature": sign(message, key)}


def sign(message: Mapping[str, Any], key: Any = None) -> str:
    """The signature of a message as the developer guide describes it."""
    text = "".join(f"{name}\n{message[name]}\n" for name in _ORDER if name in message)
    digest = hashes.SHA256() if message["SignatureVersion"] == "2" else hashes.SHA1()
    return base64.b64encode((key or rsa_key()).sign(text.encode(), PKCS1v15(), digest)).decode()
