"""Whether a message is truly of Amazon SNS, by its signature, its certificate and its age.

Source: Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages".  Signed are the text, the subject
and what they are addressed by; UnsubscribeURL and MessageAttributes are not, so nothing may depend on them.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import PagingError

AWS = re.compile(r"https://sns\.[a-z0-9-]{1,32}\.amazonaws\.com(\.cn)?/[A-Za-z0-9._-]{1,200}\.pem", re.ASCII)
"""The addresses AWS signs from; SNS writes the region into the host."""

WINDOW = timedelta(minutes=70)
"""How old a message may be.  SNS writes the moment of publication and does not write it anew when it tries again, which
it does for up to 3,600 s over HTTP (developer guide, "Amazon SNS message delivery retries"): a shorter window would refuse
the very pages that come late.  Ten minutes more are for the last attempt and for clocks."""

REDRIVE_WINDOW = timedelta(days=14) + WINDOW
"""For a receiver that takes what is replayed from a redrive queue, which keeps messages for up to 14 days.  It must
remember each MessageId for as long, or an old OK could be played to it again."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a message may be ahead of our clock."""

_BEFORE = ("Message", "MessageId")
_SIGNED = {
    "Notification": (*_BEFORE, "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (*_BEFORE, "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": (*_BEFORE, "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_LARGEST_MESSAGE = 256 * 1024  # bytes of Message, the limit of SNS
_LARGEST_FIELD = 4 * 1024  # of any other field
_LARGEST_CERTIFICATE = 64 * 1024
_SMALLEST_KEY = 2048  # bits
_ISSUED_FOR = re.compile(r"sns(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?", re.ASCII)


class UnverifiedMessageError(PagingError):
    """A message that SNS did not sign, or not just now; its text says what is wrong with it."""


def verify(
    message: Mapping[str, Any],
    *,
    fetch: Callable[[str], bytes],
    now: datetime,
    trusted: re.Pattern[str] = AWS,
    window: timedelta = WINDOW,
) -> None:
    """Raise UnverifiedMessageError unless SNS signed ``message`` within ``window`` before ``now``.

    ``fetch`` gets the certificate from an address that ``trusted`` matches as a whole; what it raises is passed on, so
    that a certificate that cannot be had just now is not taken for a forged one.  That nobody else answers under AWS's
    name is up to the TLS of ``fetch``: the certificate comes without its chain.
    """
    text = _signed_text(message)
    version = message.get("SignatureVersion")
    if version not in ("1", "2"):
        raise UnverifiedMessageError(f"its SignatureVersion is {_shown(version)}, not 1 or 2")
    signature = _signature(message)
    _check_age(message["Timestamp"], now, window)
    address = message.get("SigningCertURL")
    if not isinstance(address, str) or not trusted.fullmatch(address):
        raise UnverifiedMessageError(f"its certificate is at {_shown(address)}, which is not an address of SNS")
    _check_signature(_public_key(fetch(address), now), signature, text, version)


def fetch_certificate(address: str) -> bytes:
    """GET a certificate, without following a redirection.  Raises OSError."""
    opener = urllib.request.build_opener(_Staying())
    with opener.open(address, timeout=10) as answer:
        content: bytes = answer.read(_LARGEST_CERTIFICATE + 1)
        return content


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows nobody: a redirection is an error."""

    def redirect_request(self, *_arguments: Any) -> None:
        """None: do not."""


def _signed_text(message: Mapping[str, Any]) -> bytes:
    kind = message.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise UnverifiedMessageError(f"its Type is {_shown(kind)}; SNS has {', '.join(_SIGNED)}")
    lines = []
    for name in _SIGNED[kind]:
        value = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise UnverifiedMessageError(f"its {name} is missing" if value is None else f"its {name} is not text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise UnverifiedMessageError(f"its {name} is not text") from None
        if size > (_LARGEST_MESSAGE if name == "Message" else _LARGEST_FIELD):
            raise UnverifiedMessageError(f"its {name} has {size} bytes, more than SNS sends")
        # The signed text is lines: with a line break in another field the same text could be read in two ways.
        if name != "Message" and not value.isprintable():
            raise UnverifiedMessageError(f"its {name} holds what SNS does not send")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode()


def _signature(message: Mapping[str, Any]) -> bytes:
    value = message.get("Signature")
    if not isinstance(value, str) or len(value) > _LARGEST_FIELD:
        raise UnverifiedMessageError("its Signature is missing or too long")
    try:
        signature = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise UnverifiedMessageError("its Signature is not base64") from None
    # The last letter has bits that decoding drops.
    if base64.b64encode(signature).decode() != value:
        raise UnverifiedMessageError("its Signature is not base64 as SNS writes it")
    return signature


def _check_age(timestamp: str, now: datetime, window: timedelta) -> None:
    try:
        sent = datetime.fromisoformat(timestamp)
    except ValueError:
        sent = None
    if sent is None or sent.tzinfo is None:
        raise UnverifiedMessageError(f"its Timestamp is {_shown(timestamp)}, not a moment")
    age = now - sent.astimezone(UTC)
    if age > window:
        raise UnverifiedMessageError(f"it is {age // timedelta(minutes=1)} minutes old; it may have been played again")
    if age < -CLOCK_SKEW:
        raise UnverifiedMessageError(f"it is {-age // timedelta(minutes=1)} minutes ahead of the clock")


def _public_key(content: bytes, now: datetime) -> Any:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import load_pem_x509_certificate

    if len(content) > _LARGEST_CERTIFICATE:
        raise UnverifiedMessageError("its certificate is larger than any")
    try:
        certificate = load_pem_x509_certificate(content)
        names = _names(certificate)
        key = certificate.public_key()
    except Exception:  # what a foreign server sent may fail to parse in any way
        raise UnverifiedMessageError("its certificate cannot be read") from None
    if not any(_ISSUED_FOR.fullmatch(name) for name in names):
        raise UnverifiedMessageError("its certificate was not issued for sns.amazonaws.com")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise UnverifiedMessageError("its certificate is not valid now")
    if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_KEY:
        raise UnverifiedMessageError("its certificate holds no RSA key of 2048 bits")
    return key


def _names(certificate: Any) -> list[str]:
    """Whom a certificate was issued for: its alternative names, or the common name where there are none."""
    from cryptography.x509 import DNSName, ExtensionNotFound, NameOID, SubjectAlternativeName

    try:
        extension = certificate.extensions.get_extension_for_class(SubjectAlternativeName)
        return [str(name) for name in extension.value.get_values_for_type(DNSName)]
    except ExtensionNotFound:
        return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _check_signature(key: Any, signature: bytes, text: bytes, version: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    try:
        key.verify(signature, text, PKCS1v15(), SHA256() if version == "2" else SHA1())  # noqa: S303  # version 1 is SHA-1
    except InvalidSignature:
        raise UnverifiedMessageError("its signature does not fit: it was altered, or SNS did not write it") from None


def _shown(value: Any) -> str:
    """A value from outside in one line; a query, which may hold a token, is left out."""
    return repr(str(value).partition("?")[0][:120])
