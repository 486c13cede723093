"""Signatures of Amazon SNS: what is believed, and everything that must not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sns_messages import ADDRESS, NOW, certificate, elliptic_key, rsa_key, signed

from tocsin.cloud.embedded.signing import Signer
from tocsin.paging.sns_signature import AWS, REDRIVE_WINDOW, WINDOW, UnverifiedMessageError, verify

KINDS = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")
COMMON = {"Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL"}
OWN = {kind: {"Subject"} if kind == "Notification" else {"Token", "SubscribeURL"} for kind in KINDS}


@cache
def good_certificate() -> bytes:
    return certificate()


def check(
    message: Any, *, content: bytes | None = None, fetch: Callable[[str], bytes] | None = None, **options: Any
) -> None:
    held = good_certificate() if content is None else content
    verify(message, **{"fetch": fetch or (lambda _: held), "now": NOW, **options})


def refusal(message: Any, **options: Any) -> str:
    with pytest.raises(UnverifiedMessageError) as error:
        check(message, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_sns_signed_is_believed(kind: str, version: str) -> None:
    check(signed(kind, version))
    check(signed(kind, version, Message="ü €\n\nTimestamp\n2020\n"))


def test_a_notification_may_have_no_subject() -> None:
    check(signed(Subject=None))


@pytest.mark.parametrize("version", ["1", "2"])
def test_what_the_embedded_aws_signs_is_believed_under_its_own_address(tmp_path: Path, version: str) -> None:
    signer = Signer(tmp_path)
    message = signed(version=version, SigningCertURL=f"http://127.0.0.1:4566/_tocsin/sns/{signer.certificate_name}")
    message["Signature"] = signer.sign(message, version)
    assert "not an address of SNS" in refusal(message)
    local = re.compile(r"http://127\.0\.0\.1:4566/_tocsin/sns/[\w-]+\.pem")
    now = datetime.now(UTC)
    message["Timestamp"] = now.isoformat().replace("+00:00", "Z")
    message["Signature"] = signer.sign(message, version)
    check(message, content=signer.certificate, trusted=local, now=now)
    assert "altered" in refusal(
        message, content=certificate(since=now - timedelta(1), until=now + timedelta(1)), trusted=local, now=now
    )


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_change_of_a_character_is_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    message = signed(kind, data.draw(st.sampled_from(["1", "2"])))
    name = data.draw(st.sampled_from(sorted(COMMON | OWN[kind])))
    value, letter = message[name], data.draw(st.characters(codec="utf-8"))
    at = data.draw(st.integers(0, len(value)))
    change = data.draw(st.sampled_from(["replace", "insert", "delete"]))
    altered = {
        "replace": value[:at] + letter + value[at + 1 :],
        "insert": value[:at] + letter + value[at:],
        "delete": value[:at] + value[at + 1 :],
    }[change]
    if altered == value:
        return
    if name == "SigningCertURL" and AWS.fullmatch(altered):
        return  # another address of AWS, which has another certificate or none
    refusal({**message, name: altered})


@given(st.integers(0, 300), st.integers(0, 63))
@settings(max_examples=300, deadline=None)
def test_no_other_spelling_of_the_signature_is_believed(at: int, number: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    message = signed()
    signature = message["Signature"]
    last = len(signature.rstrip("=")) - 1 - at % 4  # the last letters hold bits that decoding drops
    altered = signature[:last] + alphabet[number] + signature[last + 1 :]
    if altered != signature:
        refusal({**message, "Signature": altered})


@pytest.mark.parametrize("name", sorted(COMMON))
@pytest.mark.parametrize("value", [None, 1, True, [], {}, "", "\ud800"])
def test_a_field_that_is_missing_or_no_text_is_refused(name: str, value: Any) -> None:
    refusal({**signed(), name: value})
    refusal({key: one for key, one in signed().items() if key != name})


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("name", ["Token", "SubscribeURL"])
def test_a_confirmation_needs_its_token_and_its_address(kind: str, name: str) -> None:
    assert f"its {name} is missing" in refusal({key: one for key, one in signed(kind).items() if key != name})


def test_a_message_that_would_read_two_ways_is_refused() -> None:
    whole = signed()
    moved = {**whole, "MessageId": f"{whole['MessageId']}\nSubject\n{whole['Subject']}"}
    del moved["Subject"]
    assert "MessageId" in refusal(moved)


def test_too_large_messages_are_refused_before_anything_is_fetched() -> None:
    def fetch(_: str) -> bytes:
        raise AssertionError("nothing is to be fetched")

    check(signed(Message="x" * 256 * 1024))
    assert "more than SNS sends" in refusal(signed(Message="x" * (256 * 1024 + 1)), fetch=fetch)
    assert "more than SNS sends" in refusal(signed(Subject="x" * 5000), fetch=fetch)
    refusal({**signed(), "Signature": "A" * 5000}, fetch=fetch)


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com.example.com/SimpleNotificationService-0.pem",
        "https://example.com/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com@example.com/SimpleNotificationService-0.pem",
        "https://example.com#sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?x=.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.txt",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem\n",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://snsxeu-west-1.amazonaws.com/a.pem",
        "https://s3.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonawsxcom/a.pem",
        "file:///etc/ssl/a.pem",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(address: str) -> None:
    def fetch(_: str) -> bytes:
        raise AssertionError("nothing is to be fetched")

    assert "not an address of SNS" in refusal(signed(SigningCertURL=address), fetch=fetch)


@pytest.mark.parametrize(
    "address",
    [ADDRESS, "https://sns.us-gov-west-1.amazonaws.com/a.pem", "https://sns.cn-north-1.amazonaws.com.cn/a.pem"],
)
def test_every_partition_of_aws_may_sign(address: str) -> None:
    check(signed(SigningCertURL=address))


def test_foreign_certificates_are_refused() -> None:
    day = timedelta(days=1)
    table = {
        certificate("example.com"): "not issued for",
        certificate("sns.amazonaws.com.example.com"): "not issued for",
        certificate("xsns.amazonaws.com"): "not issued for",
        certificate("sns.amazonaws.com", names=["example.com"]): "not issued for",
        certificate(until=NOW - day): "not valid now",
        certificate(since=NOW + day): "not valid now",
        certificate(key=rsa_key(1024)): "no RSA key",
        certificate(key=elliptic_key()): "no RSA key",
        certificate(key=rsa_key(3072)): "altered",
        b"": "cannot be read",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "cannot be read",
        b"x" * 100_000: "larger than any",
    }
    for content, expected in table.items():
        assert expected in refusal(signed(), content=content), expected


def test_a_certificate_may_name_sns_in_its_alternative_names() -> None:
    check(signed(), content=certificate("Amazon", names=["sns.amazonaws.com"]))
    check(signed(), content=certificate("sns.cn-north-1.amazonaws.com.cn"))


@pytest.mark.parametrize(
    ("age", "window", "believed"),
    [
        (timedelta(), WINDOW, True),
        (timedelta(hours=1, seconds=15), WINDOW, True),  # the last of an hour of attempts
        (WINDOW, WINDOW, True),
        (WINDOW + timedelta(milliseconds=1), WINDOW, False),
        (timedelta(days=14), REDRIVE_WINDOW, True),  # what a redrive queue still holds
        (timedelta(days=15), REDRIVE_WINDOW, False),
        (-timedelta(minutes=5), WINDOW, True),
        (-timedelta(minutes=5, milliseconds=1), WINDOW, False),
    ],
)
def test_an_old_message_was_played_again(age: timedelta, window: timedelta, believed: bool) -> None:
    if believed:
        check(signed(), now=NOW + age, window=window)
    else:
        assert re.search("old|ahead", refusal(signed(), now=NOW + age, window=window))


@pytest.mark.parametrize("timestamp", ["2026-11-21T08:00:00.000", "yesterday", "1763712000", "2026-13-01T00:00:00Z"])
def test_a_timestamp_that_is_no_moment_is_refused(timestamp: str) -> None:
    assert "not a moment" in refusal(signed(Timestamp=timestamp))


@pytest.mark.parametrize("version", ["0", "3", "1.0", " 1"])
def test_an_unknown_version_is_refused(version: str) -> None:
    assert "SignatureVersion" in refusal({**signed(), "SignatureVersion": version})


def test_a_signature_of_one_version_is_none_of_the_other() -> None:
    refusal({**signed(version="1"), "SignatureVersion": "2"})
    refusal({**signed(version="2"), "SignatureVersion": "1"})


def test_a_certificate_that_cannot_be_had_is_not_taken_for_a_forged_one() -> None:
    def fetch(_: str) -> bytes:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError):
        check(signed(), fetch=fetch)


def test_an_error_holds_no_token() -> None:
    message = signed("SubscriptionConfirmation", SigningCertURL="https://example.com/a.pem?token=2336412f37")
    assert "2336412f37" not in refusal(message)
