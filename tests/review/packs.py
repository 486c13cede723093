"""Made-up reviews: a good month, a broken one, a heartbeat, no data, and whatever else a report has to hold."""

from __future__ import annotations

import calendar
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from tocsin.model import Severity
from tocsin.review.pack import (
    ActionItem,
    AlarmQuality,
    Count,
    Day,
    Decision,
    Gap,
    Incident,
    InForce,
    Pack,
    SloReview,
    Span,
    State,
    Suggestion,
    Told,
    WhatIf,
)

HOUR = timedelta(hours=1)
DAYS_28 = timedelta(days=28)
WINDOWS = (3600, 21600, 86400, 259200)
ZONE = "Europe/Berlin"
#: hours from the month's start → share of bad events
Outages = Mapping[tuple[int, int], Fraction]


def month_span(month: str = "2026-10", zone: str = ZONE) -> Span:
    """The calendar month, as the clocks of the zone have it."""
    year, number = map(int, month.split("-"))
    first = datetime.combine(date(year, number, 1), time(), ZoneInfo(zone))
    last = date(year, number, calendar.monthrange(year, number)[1]) + timedelta(days=1)
    return Span(first.astimezone(UTC), datetime.combine(last, time(), ZoneInfo(zone)).astimezone(UTC))


def slo(
    system: str = "checkout",
    name: str = "api-availability",
    objective: Fraction = Fraction(999, 1000),
    outages: Outages | None = None,
    *,
    month: str = "2026-10",
    zone: str = ZONE,
    seed: int = 1,
    traffic: int = 3000,
    unpulled: tuple[int, int] = (0, 0),
    silent: tuple[int, int] = (0, 0),
    untold: Sequence[int] = (),
    trend: Sequence[Fraction | None] = (Fraction(9996, 10000), Fraction(9993, 10000), Fraction(99951, 100000)),
    changed: tuple[int, Fraction] | None = None,
    until: int | None = None,
) -> SloReview:
    """One SLO reckoned from made-up hours.  Hours are counted from the month's start; ``changed`` is the hour and what
    was promised before it."""
    span = month_span(month, zone)
    total = int((span.end - span.start) / HOUR)
    chance = random.Random(ascii((seed, system, name)))
    outages = outages or {}
    good: list[int | None] = []
    valid: list[int | None] = []
    for hour in range(total):
        if unpulled[0] <= hour < unpulled[1] or (until is not None and hour >= until):
            good.append(None)
            valid.append(None)
            continue
        if silent[0] <= hour < silent[1]:
            good.append(0)
            valid.append(0)
            continue
        events = int(traffic * (0.55 + 0.45 * abs(12 - hour % 24) / 12) * chance.uniform(0.9, 1.1))
        share = next((share for (start, end), share in outages.items() if start <= hour < end), None)
        noise = float(1 - objective) * chance.choice((0, 0, 0, 0.2, 0.5))
        bad = round(events * (float(share) if share is not None else noise))
        good.append(events - bad)
        valid.append(events)

    def objective_at(hour: int) -> Fraction:
        return changed[1] if changed and hour < changed[0] else objective

    allowed = [Fraction(events or 0) * (1 - objective_at(hour)) for hour, events in enumerate(valid)]
    budget = sum(allowed, Fraction(0))
    spent = [Fraction((events or 0) - (well or 0)) for well, events in zip(good, valid, strict=True)]
    gone, left = Fraction(0), []
    for hour in range(total):
        if valid[hour] is None:
            continue
        gone += spent[hour]
        if budget:
            left.append((span.start + (hour + 1) * HOUR, 1 - gone / budget))
    rates = {seconds: _rates(span.start, spent, allowed, valid, seconds // 3600) for seconds in WINDOWS}
    incidents = tuple(
        _incident(system, name, span, start, end, spent, valid, budget, told=index not in untold)
        for index, (start, end) in enumerate(sorted(outages))
        if sum(spent[start:end])
    )
    listed = sum((one.spent for one in incidents), Fraction(0))
    asked = sum(events is not None for events in valid)
    nothing = sum(events == 0 for events in valid)
    count = Count(
        span,
        Fraction(sum(well or 0 for well in good)),
        Fraction(sum(events or 0 for events in valid)),
        budget,
        Fraction(asked, total),
        Fraction(nothing, asked) if asked else Fraction(0),
    )
    state = state_of(count)
    in_force = [InForce(None, objective, DAYS_28)]
    if changed:
        in_force = [InForce(None, changed[1], DAYS_28), InForce(span.start + changed[0] * HOUR, objective, DAYS_28)]
    return SloReview(
        system=system,
        slo=name,
        owner="payments",
        kind="availability",
        good="requests answered without a server error",
        in_force=tuple(in_force),
        state=state,
        words=words_of(state),
        month=count,
        rolling=replace(count, span=Span(span.end - DAYS_28, span.end)),
        trend=tuple(zip(("2026-07", "2026-08", "2026-09"), trend, strict=False)),
        days=_days(span, zone, good, valid),
        burn_down=tuple(left),
        burn_rates=rates,
        incidents=incidents,
        small_spent=(count.spent or Fraction(0)) - listed,
        what_if=_what_if(count, objective),
        told=tuple(one.told for one in incidents if one.told),
        notes=("The objective was 99.5 % until 14 October.",) if changed else (),
    )


def state_of(count: Count) -> State:
    """By the rules of a review."""
    if not count.covered:
        return State.UNKNOWN
    if not count.valid:
        return State.NO_DATA
    if count.allowed < 1:
        return State.TOO_FEW
    spent = count.spent or Fraction(0)
    return State.BROKEN if spent > 1 else State.AT_RISK if spent * 2 > 1 else State.KEPT


def words_of(state: State) -> str:
    """Some sentence."""
    return {
        State.BROKEN: "broken: 99.83 % of 99.9 %, 170 % of the budget gone, most of it in one incident on 3 October",
        State.AT_RISK: "at risk: 99.33 % of 99 %, 67 % of the budget gone, all of it in one incident on 14 October",
        State.KEPT: "kept: 99.97 % of 99.9 %, 70 % of the budget left",
        State.TOO_FEW: "too few events to judge: 420, none bad, where the budget allows 0.42, less than one",
        State.NO_DATA: "no data: no valid event in what was asked",
        State.UNKNOWN: "not pulled: nothing of this month was asked of CloudWatch",
    }[state]


def _rates(
    start: datetime, spent: Sequence[Fraction], allowed: Sequence[Fraction], valid: Sequence[int | None], hours: int
) -> tuple[tuple[datetime, Fraction | None], ...]:
    found: list[tuple[datetime, Fraction | None]] = []
    for hour in range(len(spent)):
        window = slice(max(0, hour + 1 - hours), hour + 1)
        may = sum(allowed[window])
        rate = Fraction(sum(spent[window])) / may if may and valid[hour] is not None else None
        found.append((start + (hour + 1) * HOUR, rate))
    return tuple(found)


def _incident(
    system: str,
    name: str,
    span: Span,
    start: int,
    end: int,
    spent: Sequence[Fraction],
    valid: Sequence[int | None],
    budget: Fraction,
    *,
    told: bool,
) -> Incident:
    first, last = span.start + start * HOUR + timedelta(minutes=4), span.start + end * HOUR - timedelta(minutes=7)
    bad = sum(spent[start:end], Fraction(0))
    severity = Severity.PAGE if bad * 20 > budget else Severity.TICKET
    return Incident(
        Span(first, last),
        bad,
        Fraction(sum(events or 0 for events in valid[start:end])),
        bad / budget,
        Told(
            f"prod-{system}-{name}-{severity.value}",
            severity,
            first + timedelta(minutes=6, seconds=12),
            last + timedelta(minutes=20),
        )
        if told
        else None,
        timedelta(minutes=6, seconds=12) if told else None,
    )


def _days(span: Span, zone: str, good: Sequence[int | None], valid: Sequence[int | None]) -> tuple[Day, ...]:
    found: dict[date, list[int]] = {}
    for hour in range(len(good)):
        found.setdefault((span.start + hour * HOUR).astimezone(ZoneInfo(zone)).date(), []).append(hour)
    days = []
    for day, hours in found.items():
        events = sum(valid[hour] or 0 for hour in hours)
        well = sum(good[hour] or 0 for hour in hours)
        asked = sum(valid[hour] is not None for hour in hours)
        attained = Fraction(well, events) if events else None
        days.append(Day(day, attained, Fraction(events), Fraction(asked, len(hours))))
    return tuple(days)


def _what_if(count: Count, objective: Fraction) -> tuple[WhatIf, ...]:
    found = []
    for other in (1 - (1 - objective) * 10, 1 - (1 - objective) * 2, 1 - (1 - objective) / 2, 1 - (1 - objective) / 10):
        under = replace(count, allowed=count.valid * (1 - other))
        found.append(WhatIf(other, under.spent, state_of(under)))
    return tuple(found)


def heartbeat(
    broken: Sequence[tuple[int, int]] = ((200, 207),), system: str = "checkout", name: str = "daily-run"
) -> SloReview:
    """A job that is due every day, and was not done in time in these hours."""
    base = slo(system, name, traffic=0)
    spans = tuple(Span(base.month.span.start + a * HOUR, base.month.span.start + b * HOUR) for a, b in broken)
    days = tuple(replace(day, valid=Fraction(1), attained=Fraction(1)) for day in base.days)
    count = replace(base.month, good=Fraction(30), valid=Fraction(31), allowed=Fraction(0), silent=Fraction(1, 2))
    return replace(
        base,
        kind="heartbeat",
        good="days whose orders are all exported by 06:30",
        in_force=(InForce(None, None, timedelta(hours=26)),),
        state=State.BROKEN if spans else State.KEPT,
        words="broken: no success within 1 d 2 h on 9 October, for 7 h in all"
        if spans
        else "kept: never without a success",
        month=count,
        rolling=count,
        days=days,
        burn_down=(),
        burn_rates={},
        incidents=(),
        what_if=(),
        broken=spans,
        trend=(),
        small_spent=Fraction(0),
        notes=(),
    )


def pack(slos: Sequence[SloReview], *, month: str = "2026-10", zone: str = ZONE, **others: object) -> Pack:
    """A review of these SLOs, with whatever else is given."""
    span = month_span(month, zone)
    base = Pack(month, span, zone, "prod", span.end, tuple(slos), ())
    return replace(base, **others)  # type: ignore[arg-type]


def alarms(system: str = "checkout") -> tuple[AlarmQuality, ...]:
    """Three alarms that told and one that did not."""
    minutes = timedelta(minutes=1)
    return (
        AlarmQuality(
            f"prod-{system}-api-availability-page",
            system,
            Severity.PAGE,
            "api-availability",
            "slo-availability",
            5,
            4,
            2,
            1,
            312 * minutes,
            (3 * minutes, 5 * minutes, 11 * minutes),
            (40 * minutes, 70 * minutes),
        ),
        AlarmQuality(
            f"prod-{system}-latency-page",
            system,
            Severity.PAGE,
            "api-latency",
            "slo-latency",
            2,
            0,
            1,
            0,
            30 * minutes,
        ),
        AlarmQuality(
            f"prod-{system}-Orders-queue-age",
            system,
            Severity.TICKET,
            None,
            "sqs-queue-old",
            7,
            None,
            0,
            4,
            900 * minutes,
        ),
        AlarmQuality(
            f"prod-{system}-Reader-throttles",
            system,
            Severity.TICKET,
            None,
            "lambda-throttles",
            0,
            None,
            0,
            0,
            0 * minutes,
        ),
    )


def full() -> Pack:
    """A month with everything in it."""
    slos = (
        slo(
            outages={
                (50, 53): Fraction(1, 5),
                (330, 331): Fraction(1, 50),
                (400, 409): Fraction(1, 20),
                (700, 702): Fraction(1, 100),
            },
            untold=(1,),
        ),
        slo("checkout", "api-latency", Fraction(99, 100), {(330, 350): Fraction(1, 5)}),
        slo(
            "checkout",
            "orders-fresh",
            Fraction(995, 1000),
            {(600, 602): Fraction(1, 10)},
            changed=(313, Fraction(99, 100)),
        ),
        heartbeat(),
        slo(
            "search",
            "availability",
            Fraction(9999, 10000),
            {(100, 101): Fraction(1, 1000)},
            unpulled=(240, 384),
            trend=(None, Fraction(9999, 10000), Fraction(99995, 100000)),
        ),
        slo("search", "index-complete", Fraction(999, 1000), silent=(96, 210), traffic=200),
        slo("search", "rare-events", Fraction(999, 1000), traffic=1),
        slo("search", "nothing-happened", silent=(0, 745), trend=()),
        slo("search", "never-asked", unpulled=(0, 745), trend=(None, None, None)),
    )
    return pack(
        slos,
        alarms=alarms(),
        suggestions=(
            Suggestion(
                "checkout",
                "prod-checkout-Orders-queue-age",
                "raise the threshold from 300 s to 480 s, 3 of 3 periods",
                "It told 7 times, and no budget burned in any of them; at 480 s it would have told twice.",
            ),
        ),
        actions=(
            ActionItem(
                "cache",
                "Warm the cache before traffic is moved",
                "payments",
                date(2026, 10, 15),
                "2026-09",
                "checkout",
                "api-latency",
                overdue=True,
            ),
            ActionItem(
                "retry", "Give the exporter a retry with jitter", "payments", date(2026, 11, 20), "2026-10", "checkout"
            ),
            ActionItem(
                "quota",
                "Raise the quota of concurrent runs",
                "search",
                date(2026, 10, 20),
                "2026-09",
                "search",
                done=date(2026, 10, 12),
            ),
        ),
        decisions=(
            Decision(
                "checkout",
                "api-availability",
                "Changes other than fixes and security wait; incident 3 gets a written review.",
                "All of the rolling window's budget is gone.",
            ),
            Decision(
                "checkout",
                "api-latency",
                "Decide what is done.",
                "Half of the budget is gone with more than half of the window to go.",
            ),
        ),
        changes=(
            "checkout orders-fresh: objective raised from 99 % to 99.5 % on 14 October.",
            "search never-asked: new in this review.",
            "checkout api-availability: kept in September, broken now.",
        ),
        gaps=(
            Gap(
                "search availability",
                "10 Oct to 16 Oct were not pulled: access was denied; run `tocsin history pull prod` with a role that may read metrics.",
            ),
            Gap("search never-asked", "nothing of this month is in the history; pull it."),
        ),
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "\u202egnp.exe\u202c",
    "a|b`c*d_e_[f](javascript:x)",
    "&lt;b&gt; &amp; </title></style>",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "\ud800half",
    "שלום عليكم",
    "@everyone #1 ~~x~~ $y$ <!-- -->",
)


def hostile() -> Pack:
    """Every text is somebody's attack."""
    slos = tuple(
        replace(slo(text, text, outages={(30, 40): Fraction(1, 4)}), owner=text, good=text, words=text, notes=(text,))
        for text in HOSTILE
    )
    slos = tuple(
        replace(
            one,
            incidents=tuple(replace(i, told=replace(i.told, alarm=one.slo) if i.told else None) for i in one.incidents),
            told=tuple(replace(told, alarm=one.slo) for told in one.told),
        )
        for one in slos
    )
    return pack(
        slos,
        environment=HOSTILE[0],
        alarms=tuple(replace(alarm, alarm=text, system=text) for text in HOSTILE for alarm in alarms()),
        suggestions=tuple(Suggestion(text, text, text, text) for text in HOSTILE),
        actions=tuple(
            ActionItem(text, text, text, date(2026, 10, 1), text, text, text, overdue=overdue)
            for text in HOSTILE
            for overdue in (True, False)
        ),
        decisions=tuple(Decision(text, text, text, text) for text in HOSTILE),
        changes=HOSTILE,
        gaps=tuple(Gap(text, text) for text in HOSTILE),
    )


def long_names() -> Pack:
    """Names as long as CloudWatch and people let them be, without a place to break them."""
    system, name = "s" * 63, "api-availability-of-the-" + "very" * 30
    one = slo(system, name, outages={(30, 40): Fraction(1, 4)})
    long = tuple(replace(alarm, alarm="p" * 255, system=system) for alarm in alarms())
    return pack(
        (replace(one, owner="o" * 63, good="w" * 300), slo("short", "x")),
        alarms=long,
        decisions=(Decision(system, name, "p" * 200, "b" * 200),),
        changes=("c" * 300,),
        gaps=(Gap("g" * 300, "what" * 80),),
        actions=(ActionItem("k", "w" * 300, "o" * 63, date(2026, 10, 1), "2026-09", system, name, overdue=True),),
        suggestions=(Suggestion(system, "p" * 255, "c" * 200, "b" * 200),),
    )


def many(systems: int = 50) -> Pack:
    """Fifty systems of three SLOs, some of them in trouble."""
    slos = []
    told: list[AlarmQuality] = []
    for number in range(systems):
        system = f"system-{number:02d}"
        trouble: Outages = {(50 + number, 56 + number): Fraction(1, 4 + number), (400, 403): Fraction(1, 300)}
        slos += [
            slo(system, "availability", outages=trouble if number % 4 == 0 else {}, seed=number),
            slo(system, "latency", Fraction(99, 100), trouble, seed=number),
            slo(system, "freshness", Fraction(995, 1000), seed=number),
        ]
        told += alarms(system)
    return pack(slos, alarms=tuple(told))


def running() -> Pack:
    """A month that is not over."""
    span = month_span()
    return pack((slo(until=300, outages={(100, 104): Fraction(1, 30)}),), until=span.start + 300 * HOUR)


def overspent() -> Pack:
    """Far more gone than there was."""
    return pack((slo(outages={(100, 160): Fraction(1)}),))


#: Every made-up review by its name.
PACKS: Mapping[str, Callable[[], Pack]] = {
    "full": full,
    "good": lambda: pack((slo(),)),
    "broken": lambda: pack((slo(outages={(50, 60): Fraction(1, 5)}),)),
    "overspent": overspent,
    "heartbeat": lambda: pack((heartbeat(), heartbeat((), name="weekly-run"))),
    "no-data": lambda: pack((slo(silent=(0, 745), trend=()),)),
    "not-pulled": lambda: pack((slo(unpulled=(0, 745), trend=(None, None, None)),)),
    "too-few": lambda: pack((slo(traffic=1),)),
    "changed": lambda: pack((slo(changed=(313, Fraction(995, 1000)), outages={(100, 103): Fraction(1, 50)}),)),
    "running": running,
    "long-names": long_names,
    "hostile": hostile,
    "empty": lambda: pack(()),
}
