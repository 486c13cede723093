"""The single values of ``deploy/oncall.toml``: addresses, hours, turns, moments, and where the key is.

Each function raises InputError with what is wrong and what to write instead; the reader of the file says where.  A value
that looks like a key is never repeated.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from ..errors import InputError, nearest
from ..units import duration, format_duration
from .declared import Hours, SecretSource

_MINUTE, _HOUR, _DAY, _WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
# E.164, with the plus that Amazon SNS wants (https://docs.aws.amazon.com/sns/latest/dg/sms_sending-overview.html).
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?")
_MARK = re.compile(r"[a-z][a-z0-9-]{0,31}")
# Slack's ids; AWS Chatbot wants these, not names (CloudFormation, AWS::Chatbot::SlackChannelConfiguration).
_WORKSPACE = re.compile(r"[TE][A-Z0-9]{2,254}")
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,254}")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_WEEKS = re.compile(r"([0-9]+)\s*(?:w|week|weeks)")
_NOTHING = re.compile(r"0+\s*(?:[a-z]+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_STORED = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,2048}")
# What keys look like: a UUID, or a long word of letters and digits without a separator.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONG_WORD = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}")
_FIRST, _LAST = datetime(2000, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - wall-clock times, as in the file

_NO_KEY = (
    "looks like a key, which never stands in this file; take it out and renew it if it was committed, or write it in"
    " words, with '-' or spaces between them"
)

#: What each kind of key source is written as.
KEY_SOURCES = {
    "variable": "a variable of the environment",
    "secret": "a secret in Secrets Manager",
    "parameter": "an SSM parameter",
}


def shown(value: Any) -> str:
    """A value as an error repeats it: briefly, and not at all when it may be a key."""
    try:
        written = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list of thousands of brackets
        return "something too long to show"
    # The addresses that chats and tools give out hold a key in their path.
    if looks_like_key(written) or "://" in written:
        return "something that is not shown, because it looks like a key"
    return written if len(written) <= 60 else f"{written[:59]}…"


def looks_like_key(written: str) -> bool:
    """Whether a UUID or a long word of letters and digits stands in the text."""
    return bool(_UUID.search(written) or _LONG_WORD.search(written))


def text(value: Any) -> str:
    """Text that says something."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"must be text, got {shown(value)}")
    if "\n" in value or "\r" in value:
        raise InputError("must be one line of text")
    return value.strip()


def words(value: Any) -> str:
    """Text that is shown where people look, and so holds no key."""
    if looks_like_key(text(value)) or ("://" in value and "hooks." in value):
        raise InputError(_NO_KEY)
    return text(value)


def name(value: Any) -> str:
    """The name of a team, schedule, rotation or escalation."""
    words(value)
    if not _NAME.fullmatch(text(value)):
        raise InputError(f"use at most 100 letters, digits, spaces, '.', '_' and '-' for a name, got {shown(value)}")
    return text(value)


def mark(value: Any) -> str:
    """The name of a project or an environment, which other names are made of."""
    words(value)
    if not _MARK.fullmatch(text(value)):
        raise InputError(f"use at most 32 lower-case letters, digits and '-', a letter first, got {shown(value)}")
    return text(value)


def email(value: Any) -> str:
    """An e-mail address, without a name around it."""
    if not isinstance(value, str) or len(value) > 254 or not _EMAIL.fullmatch(value):
        raise InputError(f'must be an e-mail address such as "engagement-primary@example.com", got {shown(value)}')
    return value


def second_way(value: Any) -> str:
    """An e-mail address, or a phone number that takes an SMS."""
    if isinstance(value, str) and _PHONE.fullmatch(value):
        return value
    if isinstance(value, str) and (value.startswith("+") or value.replace(" ", "").isdecimal()):
        raise InputError(
            "must be a phone number with its country, a plus and at most 15 digits and nothing between them, such as"
            f' "+436601234567", got {shown(value)}'
        )
    if not isinstance(value, str) or len(value) > 254 or not _EMAIL.fullmatch(value):
        raise InputError(
            'must be an e-mail address such as "on-call-fallback@example.com" or, for an SMS, a phone number such as'
            f' "+436601234567", got {shown(value)}'
        )
    return value


def site(value: Any) -> str:
    """The cloud id of an Atlassian site, as ``https://<site>.atlassian.net/_edge/tenant_info`` tells it."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise InputError("must be the site's cloud id, which https://<site>.atlassian.net/_edge/tenant_info tells")
    return value


def workspace(value: Any) -> str:
    """Slack's id of a workspace."""
    if not isinstance(value, str) or not _WORKSPACE.fullmatch(value):
        raise InputError(f'must be the id of a Slack workspace, such as "T0123ABCD", not its name, got {shown(value)}')
    return value


def channel(value: Any) -> str:
    """Slack's id of a channel."""
    if not isinstance(value, str) or not _CHANNEL.fullmatch(value):
        raise InputError(f'must be the id of a Slack channel, such as "C0123ABCD", not its name, got {shown(value)}')
    return value


def time_zone(value: Any) -> str:
    """An IANA time zone that this machine knows."""
    zone = text(value)
    try:
        if zone == "localtime":  # whatever the machine at hand is set to
            raise InputError('"localtime" is another zone on each machine; name one, such as "Europe/Vienna"')
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        if not known:
            raise InputError("this machine knows no time zones; install tzdata (pip install tzdata)") from None
        hint = nearest(zone, known) if len(zone) < 40 else "it has a name such as 'Europe/Vienna'"
        if hint.startswith("there are"):
            hint = "use a name of the IANA database, such as 'Europe/Vienna'"
        raise InputError(f"no time zone {shown(value)}; {hint}") from None
    return zone


def minutes(value: Any) -> timedelta:
    """A duration of whole minutes."""
    hidden = isinstance(value, str) and shown(value) != repr(value)
    if hidden:  # too long or too like a key to be one
        raise InputError(f'must be whole minutes, such as "5min", got {shown(value)}')
    found = duration(value) if isinstance(value, str) else None
    if found is None or found % _MINUTE:
        raise InputError(f'must be whole minutes, such as "5min", got {shown(value)}')
    return found


def delay(value: Any) -> timedelta:
    """A duration of whole minutes, or none: ``"0min"``."""
    if isinstance(value, str) and _NOTHING.fullmatch(value.strip().lower()):
        return timedelta()
    return up_to(_DAY, "a step waits for a day at most", minutes(value))


def repetition(value: Any) -> timedelta:
    """How long after its last step an escalation begins again."""
    return up_to(_DAY, "an escalation begins again within a day", minutes(value))


def beat(value: Any) -> timedelta:
    """How often the dead-man's switch pings."""
    return up_to(_HOUR, "the dead-man's switch pings once an hour at least", minutes(value))


def silence(value: Any) -> timedelta:
    """How long AWS may be silent."""
    return up_to(_WEEK, "a silence of more than a week is no watch", minutes(value))


def up_to(most: timedelta, why: str, found: timedelta) -> timedelta:
    """A duration that is not absurd."""
    if found > most:
        raise InputError(f"{format_duration(found)} is too long: {why}; state at most {format_duration(most)}")
    return found


def turn(value: Any) -> timedelta:
    """``"weekly"``, ``"daily"``, ``"2 weeks"``, ``"3 days"`` or ``"12h"``."""
    hint = f'must be "weekly", "daily", or such as "2 weeks", "3 days" or "12h", got {shown(value)}'
    if not isinstance(value, str):
        raise InputError(hint)
    word = value.strip().lower()
    try:
        if word in ("weekly", "daily"):
            found = _WEEK if word == "weekly" else _DAY
        elif weeks := _WEEKS.fullmatch(word):
            found = int(weeks[1]) * _WEEK
        else:
            found = duration(word)
    except (InputError, OverflowError):
        raise InputError(hint) from None
    if not found or found % _HOUR:
        raise InputError(hint)
    if found > 52 * _WEEK:
        raise InputError(f"a turn of more than a year is no turn, got {shown(value)}")
    return found


def moment(value: Any) -> datetime:
    """A day and a time on the wall clock: a TOML local date-time, a date, or text such as ``"2026-01-05 08:00"``."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InputError(f'must be a day and a time such as "2026-01-05 08:00", got {shown(value)}') from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise InputError(f'must be a day and a time such as "2026-01-05 08:00", got {shown(value)}')
    if value.tzinfo is not None:
        raise InputError("leave the offset out: the time is that of the schedule's time_zone")
    if value.second or value.microsecond:
        raise InputError("must be a whole minute, such as 08:00")
    if not _FIRST <= value < _LAST:
        raise InputError(f"must be a day of this century, got {value:%Y-%m-%d}")
    return value


def hours(value: Any) -> tuple[Hours, ...]:
    """``"18:00 - 08:00"`` each day, ``"mon 08:00 - fri 18:00"`` without a break, ``"mon-fri 08:00 - 18:00"`` on each day.

    Over midnight where the end is not after the start; 24:00 is the end of a day.
    """
    hint = (
        'must be such as "18:00 - 08:00" (each day), "mon-fri 08:00 - 18:00" (on each of those days) or '
        f'"fri 18:00 - mon 08:00" (without a break), got {shown(value)}'
    )
    if not isinstance(value, str):
        raise InputError(hint)
    words = value.strip().lower().replace("–", "-").replace("-", " - ").split()
    first = _day(words[0]) if words else None
    spans: list[tuple[str, str, int | None, int | None]]
    match words:
        case [start, "-", end]:
            spans = [(start, end, None, None)]
        case [_, start, "-", end] if first is not None:
            spans = [(start, end, first, None)]
        case [_, "-", other, start, "-", end] if first is not None and (last := _day(other)) is not None:
            days = range(first, (last if last >= first else last + 7) + 1)
            spans = [(start, end, day % 7, None) for day in days]
        case [_, start, "-", other, end] if first is not None and (last := _day(other)) is not None:
            spans = [(start, end, first, last)]
        case _:
            raise InputError(hint)
    return tuple(_span(*span, hint) for span in spans)


def _day(word: str) -> int | None:
    days = _FULL_DAYS if word in _FULL_DAYS else _DAYS
    return days.index(word) if word in days else None


def _span(start: str, end: str, start_day: int | None, end_day: int | None, hint: str) -> Hours:
    opens, closes = _time(start, hint), _time(end, hint)
    if opens == _DAY:
        raise InputError(hint)
    if start_day is None:
        if closes % _DAY == opens:
            raise InputError("that is always; leave hours out")
        return Hours(_clock(opens), _clock(closes))
    if end_day is None:
        end_day = start_day if closes > opens else start_day + 1
    if closes == _DAY:
        end_day += 1
    if (start_day, opens) == (end_day % 7, closes % _DAY):
        raise InputError("that is always; leave hours out")
    return Hours(_clock(opens), _clock(closes), start_day, end_day % 7)


def _time(word: str, hint: str) -> timedelta:
    found = _TIME.fullmatch(word)
    if found is None:
        raise InputError(hint)
    hour, minute = int(found[1]), int(found[2])
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise InputError(f"there is no time {word}; hours go from 00:00 to 24:00")
    return timedelta(hours=hour, minutes=minute)


def _clock(since_midnight: timedelta) -> time:
    return time(since_midnight // _HOUR % 24, since_midnight % _HOUR // _MINUTE)


def key_source(value: Any, default: str) -> SecretSource:
    """Where the key is: ``{ variable = "NAME" }``, ``{ secret = "…" }`` or ``{ parameter = "…" }``.  Never the key itself."""
    hint = f'say where it is: {{ variable = "{default}" }}, {{ secret = "…" }} or {{ parameter = "…" }}'
    if isinstance(value, str):
        raise InputError(f"a key never stands in this file; take it out, renew it if it was committed, and {hint}")
    if not isinstance(value, dict) or len(value) != 1:
        raise InputError(f"exactly one place; {hint}")
    ((kind, place),) = value.items()
    if kind not in KEY_SOURCES:
        raise InputError(f"no such place; {nearest(kind, KEY_SOURCES)}; {hint}")
    pattern = _VARIABLE if kind == "variable" else _STORED
    # Its text is not repeated in either case: whoever mistakes the name for the key writes the key.
    if not isinstance(place, str) or not pattern.fullmatch(place):
        raise InputError(f"not the name of {KEY_SOURCES[kind]}; {hint}")
    if looks_like_key(place):
        raise InputError(f"that looks like the key itself, not the name of {KEY_SOURCES[kind]}; {hint}")
    match kind:
        case "variable":
            return SecretSource(variable=place)
        case "secret":
            return SecretSource(secret=place)
        case _:
            return SecretSource(parameter=place)


def address(value: Any) -> str:
    """An https address; plain http on this machine only.  It is never repeated: an address may hold a key."""
    if not isinstance(value, str):
        raise InputError("must be an address that begins with https://")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError("not an address; it begins with https:// and has a host") from None
    if any(letter.isspace() or not letter.isprintable() for letter in value):
        raise InputError("not an address; it must not hold spaces")
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise InputError("must be an address that begins with https:// and has a host")
    if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
        raise InputError("must begin with https://: over plain http anybody on the way reads the key and the pages")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError("must hold no user, password, question mark or #: keys never stand in this file")
    return value.rstrip("/")
