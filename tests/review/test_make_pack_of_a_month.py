"""A pack of a small history: what it says, what it lacks, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from tests.review.reference_tables import DAY, HOUR, MINUTE, History, utc

from tocsin.errors import InputError
from tocsin.model import Severity
from tocsin.review.decisions import ALL, HALF, NEVER, REVIEW, SPARE
from tocsin.review.make import make_pack
from tocsin.review.pack import Pack, SloReview, Span, State, Suggestion

NOW = utc("2026-11-21 12:34")
JULY, OCTOBER, NOVEMBER = utc("2026-07-01 00:00"), utc("2026-10-01 00:00"), utc("2026-11-01 00:00")


def packed(
    history: History, month: str = "2026-10", zone: str = "UTC", now: datetime = NOW, systems: list[str] | None = None
) -> Pack:
    return make_pack(history.in_memory(), month, "prod", zone, systems, now)


def usual(*, since: datetime = JULY, bad: int = 0, until: datetime = NOVEMBER) -> History:
    """A thousand events every six hours, promised 99 %."""
    history = History()
    history.promise("api", "99/100")
    history.asked("api", since, until)
    at = since
    while at < until:
        history.count("api", at, 1000 - bad, 1000, period=3600)
        at += 6 * HOUR
    return history


def only(pack: Pack) -> SloReview:
    (one,) = pack.slos
    return one


def worse(history: History, at: datetime, bad: int) -> None:
    """Make one row of a usual history worse."""
    rows = history.rows["sli", "shop"]
    (number,) = (number for number, row in enumerate(rows) if row[1] == at)
    slo, when, period, _, valid = rows[number]
    rows[number] = (slo, when, period, valid - bad, valid)


# Bad input


def nothing_pulled(history: History) -> None:
    history.rows.clear()


def no_figures(history: History) -> None:
    history.rows["coverage", "shop"].clear()


def as_it_is(history: History) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "month", "environment", "systems", "message"),
    [
        (nothing_pulled, "2026-10", "prod", None, "there is no history yet; run `tocsin history pull prod` first"),
        (no_figures, "2026-10", "prod", None, "the history of prod holds no figures yet; run"),
        (as_it_is, "2026-10", "pord", None, "the history has no environment 'pord'; did you mean 'prod'? – or run"),
        (
            as_it_is,
            "2026-10",
            "prod",
            ["shop", "shap"],
            "the history of prod has no system 'shap'; did you mean 'shop'?",
        ),
        (as_it_is, "2026-12", "prod", None, "--month 2026-12 has not begun yet: it is 2026-11-21 in UTC"),
        (as_it_is, "10/2026", "prod", None, "--month '10/2026' is not a month; write it as 2026-11"),
        (
            as_it_is,
            "2026-06",
            "prod",
            None,
            "--month 2026-06: the history of prod has nothing of it, only 2026-07-01 to 2026-10-31; "
            "run `tocsin history pull prod --since 2026-06-01`",
        ),
        (as_it_is, "2026-11", "prod", None, "--month 2026-11: the history of prod has nothing of it, only"),
    ],
)
def test_what_is_refused(
    change: Callable[[History], None], month: str, environment: str, systems: list[str] | None, message: str
) -> None:
    history = usual()
    change(history)
    with pytest.raises(InputError) as raised:
        make_pack(history.in_memory(), month, environment, "UTC", systems, NOW)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_zone_and_a_file_of_actions_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="timezone 'Vienna' is not known"):
        packed(usual(), zone="Vienna")
    path = tmp_path / "actions.toml"
    path.write_text("[retries]\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{tmp_path.name}/actions\.toml: retries: what is missing"):
        make_pack(usual().in_memory(), "2026-10", "prod", "UTC", None, NOW, actions=path)


def test_names_are_text_and_never_sql() -> None:
    history = usual()
    history.promise("o'neill; --", "99/100", system="it's")
    history.asked("o'neill; --", OCTOBER, NOVEMBER, system="it's")
    history.steady("o'neill; --", OCTOBER, OCTOBER + DAY, 1000, 40, system="it's")
    history.alarm("'a", "page", "o'neill; --", system="it's")
    history.alarms_asked(JULY, NOVEMBER, system="it's")
    history.alarmed("'a", OCTOBER + HOUR, OCTOBER + 2 * HOUR, system="it's")
    pack = make_pack(history.in_memory(), "2026-10", "prod", "UTC", ["it's"], NOW)
    assert (only(pack).system, len(only(pack).incidents), pack.alarms[0].burning) == ("it's", 1, 1)


# What it says


def test_a_quiet_month() -> None:
    pack = packed(usual())
    one = only(pack)
    assert (pack.until, pack.zone, pack.environment) == (NOVEMBER, "UTC", "prod")
    assert one.words == "kept: 100 % of 99 %, 100 % of the budget left"
    assert one.trend == (("2026-07", Fraction(1)), ("2026-08", Fraction(1)), ("2026-09", Fraction(1)))
    assert [day.attained for day in one.days] == [Fraction(1)] * 31
    assert set(one.burn_rates) == {3600, 21_600, 86_400, 259_200}
    assert one.burn_down[-1] == (NOVEMBER, Fraction(1))
    assert (pack.changes, pack.gaps) == ((), ())


def test_the_same_history_makes_the_same_pack() -> None:
    assert packed(usual()) == packed(usual())


def test_from_files_as_from_memory(tmp_path: Path) -> None:
    history = usual()
    worse(history, OCTOBER + 2 * DAY, 400)
    assert make_pack(history.engine(tmp_path), "2026-10", "prod", "UTC", None, NOW) == packed(history)


def test_calendar_and_rolling_window_are_not_mixed() -> None:
    """What was bad on the second of October is in the month, and in no window of the 28 days to its end."""
    history = usual()
    worse(history, OCTOBER + DAY, 500)
    one = only(packed(history))
    assert one.month.bad == 500
    assert one.rolling.bad == 0
    assert one.rolling.span == Span(utc("2026-10-04 00:00"), NOVEMBER)
    worse(history, utc("2026-10-03 18:00"), 70)
    worse(history, utc("2026-10-04 00:00"), 9)  # its first
    assert only(packed(history)).rolling.bad == 9
    worse(history, utc("2026-09-30 18:00"), 500)
    one = only(packed(history, zone="America/New_York"))  # 14:00 there, still September
    assert one.month.bad == 579
    assert one.trend[-1] == ("2026-09", 1 - Fraction(500, 120_000))


def test_a_month_that_runs_ends_with_the_last_whole_hour_pulled() -> None:
    history = usual(until=utc("2026-11-12 09:40"))
    pack = packed(history, "2026-11")
    assert pack.until == utc("2026-11-12 09:00")
    assert pack.span.end == utc("2026-12-01 00:00")
    assert only(pack).month.covered == 1
    assert only(pack).rolling.span.start == utc("2026-10-15 09:00")
    assert packed(history, "2026-11", now=utc("2026-11-10 10:59")).until == utc("2026-11-10 10:00")
    assert packed(history, "2026-11", "Asia/Kolkata").until == utc("2026-11-12 09:30")


def test_missing_months_and_missing_days() -> None:
    history = usual(since=utc("2026-09-11 00:00"), until=utc("2026-10-25 00:00"))
    pack = packed(history)
    one = only(pack)
    assert one.trend == (("2026-07", None), ("2026-08", None), ("2026-09", Fraction(1)))
    assert one.month.covered == Fraction(24, 31)
    assert one.month.silent == Fraction(5, 6)
    assert "23 % of the time was not asked of CloudWatch and is not judged." in one.notes
    assert any(note.startswith("No valid event in 83 % of what was asked, 20 d in all;") for note in one.notes)
    assert any(note.startswith("Of the 28 d of the rolling window, only 75 % was asked") for note in one.notes)
    (gap,) = pack.gaps
    assert gap.where == "shop: api"
    assert gap.what == (
        "7 d of this month, first from 25 Oct 00:00, were not asked of CloudWatch; "
        "run `tocsin history pull prod --since 2026-10-25`"
    )
    assert [day.covered for day in one.days[-8:]] == [1, 0, 0, 0, 0, 0, 0, 0]


def test_an_slo_that_was_not_pulled_beside_one_that_was() -> None:
    history = usual()
    history.promise("silent", "99/100")
    history.asked("silent", OCTOBER, NOVEMBER)
    history.promise("unknown", "99/100")
    pack = packed(history)
    assert {one.slo: one.state for one in pack.slos} == {
        "api": State.KEPT,
        "silent": State.NO_DATA,
        "unknown": State.UNKNOWN,
    }
    (gap,) = pack.gaps
    assert (gap.where, gap.what.split(";")[0]) == ("shop: unknown", "nothing of this month was asked of CloudWatch")


def test_the_objective_in_force_at_the_time_counts() -> None:
    history = usual(bad=9)
    history.promise("api", "999/1000", since=utc("2026-10-16 00:00"))
    pack = packed(history)
    one = only(pack)
    assert one.month.allowed == 15 * 4 * 10 + 16 * 4 * 1
    assert [(each.since, each.objective) for each in one.in_force] == [
        (None, Fraction(99, 100)),
        (utc("2026-10-16 00:00"), Fraction(999, 1000)),
    ]
    assert "shop api: the objective was tightened from 99 % to 99.9 % since 16 October." in pack.changes
    assert one.notes[0].startswith("Until 16 Oct 00:00 99 % was promised, from then on 99.9 %;")
    # Of rows with nine bad events of a thousand, only those after the change burn; they are six hours apart.
    assert [each.bad for each in one.incidents] == [9] * 64
    assert min(each.span.start for each in one.incidents) == utc("2026-10-16 00:00")


def test_an_slo_that_vanished_and_one_that_appeared() -> None:
    history = usual(bad=5)
    history.promise("api", None, since=utc("2026-10-11 00:00"), kind="vanished")
    history.promise("new", "99/100", since=utc("2026-10-21 00:00"))
    history.asked("new", utc("2026-10-21 00:00"), NOVEMBER)
    pack = packed(history)
    one = {each.slo: each for each in pack.slos}
    assert (one["api"].month.valid, one["api"].month.covered) == (40_000, Fraction(10, 31))
    assert one["api"].notes[0].startswith("No longer promised from 11 Oct 00:00 on;")
    assert one["new"].notes[0].startswith("First seen in the declarations on 21 Oct 00:00;")
    assert pack.changes == (
        "shop api is no longer promised since 11 October.",
        "shop new is new: declared by 21 October.",
    )
    assert [gap.where for gap in pack.gaps] == ["shop: new"]
    assert only(packed(history, "2026-09")).slo == "api"  # nobody promised the new one then


def test_sums_over_an_hour_across_the_border_of_the_month() -> None:
    history = usual()
    history.count("api", utc("2026-09-30 18:00") + MINUTE, 0, 0)
    one = only(packed(history, zone="Asia/Kolkata"))  # October begins at 18:30
    assert any("such a sum counts where its hour begins" in note for note in one.notes)
    assert one.month.valid == 124_000  # that of 18:00 is September's
    assert not any("hour begins" in note for note in only(packed(history)).notes)


def heartbeat(*missing: int) -> History:
    """A run a day at six in the morning, due within 26 hours."""
    history = History()
    history.promise("run", None, kind="heartbeat", window=26 * HOUR)
    history.asked("run", JULY, NOVEMBER, period=300)
    for day in range(-92, 31):
        begun = OCTOBER + day * DAY + 6 * HOUR
        history.count("run", begun, 0 if day in missing else 1, 1, period=300)
    return history


def test_heartbeats_are_kept_or_broken() -> None:
    one = only(packed(heartbeat()))
    assert (one.state, one.broken, one.words) == (
        State.KEPT,
        (),
        "kept: never without a success for longer than 1 d 2 h",
    )
    assert (one.incidents, one.what_if, one.burn_down) == ((), (), ())
    one = only(packed(heartbeat(13, 14)))
    # The last success was in the five minutes from six on the 13th; the next is due by 08:05 on the 14th.
    assert one.broken == (Span(utc("2026-10-14 08:05"), utc("2026-10-16 06:00")),)
    assert one.words == "broken: no success within 1 d 2 h, on 14 October, for 1 d 21 h 55 min in all"


def test_a_limit_that_was_tightened_counts_from_then_on() -> None:
    history = heartbeat()
    history.promise("run", None, kind="heartbeat", window=23 * HOUR, since=utc("2026-10-30 00:00"))
    one = only(packed(history))
    assert [(each.start, each.end) for each in one.broken] == [
        (utc(f"2026-10-{day} 05:05"), utc(f"2026-10-{day} 06:00")) for day in (30, 31)
    ]


def minutes(history: History, start: datetime, count: int, bad: int = 50) -> None:
    """So many bad events of a hundred in each of some minutes."""
    for number in range(count):
        history.count("api", start + number * MINUTE, 100 - bad, 100)


@pytest.mark.parametrize(("before_the_end", "lasts"), [(10, True), (15, True), (16, False)])
def test_an_incident_may_last_while_the_month_runs(before_the_end: int, lasts: bool) -> None:
    history = usual(until=utc("2026-11-12 09:00"))
    minutes(history, utc("2026-11-12 08:30"), 30 - before_the_end)
    (incident,) = only(packed(history, "2026-11")).incidents
    assert incident.span.end == utc("2026-11-12 09:00") - before_the_end * MINUTE
    assert incident.open is lasts


def test_an_incident_over_the_borders_of_a_month_is_cut_at_them() -> None:
    history = History()
    history.promise("api", "99/100")
    history.asked("api", JULY, utc("2026-11-02 00:00"))
    history.count("api", utc("2026-10-10 00:00"), 10_000, 10_000, period=3600)
    minutes(history, utc("2026-09-30 23:30"), 60)
    minutes(history, utc("2026-10-31 23:50"), 30)
    first, last = only(packed(history)).incidents
    assert (first.span, first.began, first.bad, first.open) == (
        Span(OCTOBER, utc("2026-10-01 00:30")),
        utc("2026-09-30 23:30"),
        1500,
        False,
    )
    assert (last.span, last.began, last.bad, last.open) == (
        Span(utc("2026-10-31 23:50"), NOVEMBER),
        None,
        500,
        True,
    )
    (before,) = only(packed(history, "2026-09")).incidents
    assert (before.span, before.open) == (Span(utc("2026-09-30 23:30"), OCTOBER), True)


def test_burn_rates_look_back_over_their_window_and_no_further() -> None:
    """One bad hour of a thousand events, among a thousand good ones every six hours, promised 99 %."""
    history = usual()
    at = OCTOBER + 10 * DAY
    worse(history, at, 100)
    rates = {window: dict(found) for window, found in only(packed(history)).burn_rates.items()}
    hour, six_hours, day, three_days = 3600, 21_600, 86_400, 259_200
    assert rates[hour][at] is None
    assert rates[hour][at + HOUR] == 10
    assert rates[hour][at + 2 * HOUR] is None
    assert [rates[six_hours][at + number * HOUR] for number in (0, 1, 6, 7)] == [0, 10, 10, 0]
    assert [rates[day][at + number * HOUR] for number in (0, 1, 24, 25)] == [0, Fraction(10, 4), Fraction(10, 4), 0]
    assert [rates[three_days][at + number * HOUR] for number in (72, 73)] == [Fraction(10, 12), 0]
    assert rates[three_days][OCTOBER + HOUR] == 0  # and before the month began


# Alarms


def alarmed() -> History:
    history = usual()
    history.alarm("page", "page", "api")
    history.alarm("ticket", "ticket", "api")
    history.alarm("cause", "ticket", None, kind="lambda-errors")
    history.alarms_asked(JULY, NOVEMBER)
    return history


def test_a_page_burned_if_budget_burned_in_it_or_in_the_hour_before() -> None:
    history = alarmed()
    at = OCTOBER + 10 * DAY
    worse(history, at, 400)  # burns from midnight to one
    for begin, end in ((-30, -5), (30, 40), (119, 125), (121, 200), (-20, 300)):
        history.alarmed("page", at + begin * MINUTE, at + end * MINUTE)
        pack = packed(history)
        (page,) = (one for one in pack.alarms if one.alarm == "page")
        assert (page.told, page.burning) == (1, 0 if (begin, end) in ((-30, -5), (121, 200)) else 1), (begin, end)
        history.rows["alarm_state", "shop"].clear()


def test_incidents_name_the_alarm_that_told() -> None:
    history = alarmed()
    at = OCTOBER + 10 * DAY
    worse(history, at, 400)
    history.alarmed("ticket", at + 31 * MINUTE, at + 90 * MINUTE)
    history.alarmed("page", at + 12 * MINUTE, at + 80 * MINUTE)
    one = only(packed(history))
    (incident,) = one.incidents
    assert incident.told is not None
    assert (incident.told.alarm, incident.delay) == ("page", 12 * MINUTE)
    assert [each.alarm for each in one.told] == ["page", "ticket"]


def test_a_page_of_a_heartbeat_burned_if_it_was_broken() -> None:
    history = heartbeat(13)
    history.alarm("run", "page", "run", kind="slo-heartbeat")
    history.alarms_asked(JULY, NOVEMBER)
    history.alarmed("run", utc("2026-10-14 08:10"), utc("2026-10-15 06:10"))
    history.alarmed("run", utc("2026-10-20 08:10"), utc("2026-10-20 09:10"))
    (alarm,) = packed(history).alarms
    assert (alarm.told, alarm.burning) == (2, 1)


def test_never_fired_alarms_are_listed_and_questioned() -> None:
    history = alarmed()
    pack = packed(history)
    assert [(one.alarm, one.told) for one in pack.alarms] == [("cause", 0), ("page", 0), ("ticket", 0)]
    (only_one,) = pack.suggestions
    assert (only_one.alarm, only_one.because) == ("cause", "never fired since August 2026")
    history.alarmed("cause", utc("2026-08-03 10:00"), utc("2026-08-03 11:00"))
    assert packed(history).suggestions == ()


def test_nothing_is_said_of_alarms_whose_history_was_not_read() -> None:
    history = alarmed()
    history.rows["alarm_coverage", "shop"] = [(utc("2026-10-11 00:00"), NOVEMBER)]
    pack = packed(history)
    assert len(pack.alarms) == 3
    assert pack.suggestions == ()
    assert pack.gaps[0].what.startswith("the alarm history of 10 d was not read")
    history.rows["alarm_coverage", "shop"].clear()
    pack = packed(history)
    assert pack.alarms == ()
    assert pack.gaps[0].what.startswith("the alarm history of this month was not read")


def test_what_the_alarms_suggest() -> None:
    history = alarmed()
    for day in (3, 5, 7):
        history.alarmed("page", OCTOBER + day * DAY + 3 * HOUR, OCTOBER + day * DAY + 4 * HOUR)
    for minutes in (0, 40, 80):
        begin = OCTOBER + 9 * DAY + minutes * MINUTE
        history.alarmed("cause", begin, begin + 10 * MINUTE)
    history.state("ticket", OCTOBER + 5 * MINUTE, "ALARM", "OK")
    for day in (2, 5):
        history.alert("ticket", OCTOBER + day * DAY, OCTOBER + day * DAY + HOUR, None)
    found = {(one.alarm, one.because) for one in packed(history).suggestions}
    assert found == {
        ("page", "3 of its 3 pages came while no budget burned"),
        ("cause", "it told again within an hour of its end 2 times"),
        ("ticket", "it was in ALARM for 30 d 23 h 55 min, nearly all of the month: it can tell nobody of anything new"),
        ("ticket", "2 of its tickets are open for more than 14 d"),
    }


def test_suggestions_of_others_come_on_top() -> None:
    mine = Suggestion("shop", "cause", "threshold 5, 3 of 5 → threshold 9, 3 of 5", "false alarms 4 → 0")
    pack = make_pack(usual().in_memory(), "2026-10", "prod", "UTC", None, NOW, suggestions=[mine])
    assert pack.suggestions == (mine,)


def test_alarms_that_changed() -> None:
    history = alarmed()
    day = utc("2026-10-08 00:00")
    history.alarm("fresh", "ticket", None, since=day)
    history.alarm("cause", "page", None, since=day)
    history.alarm("ticket", "vanished", "api", since=day)
    pack = packed(history)
    assert pack.changes == (
        "shop: 1 alarm is gone: ticket.",
        "shop: 1 alarm is new: fresh.",
        "shop: 1 alarm is now a page and no longer a ticket: cause.",
    )
    assert {one.alarm: one.severity for one in pack.alarms}["cause"] is Severity.PAGE


# Decisions


def decided(history: History, month: str = "2026-10", now: datetime = NOW) -> list[str]:
    return [one.policy for one in packed(history, month, now=now).decisions]


def test_nothing_to_decide() -> None:
    assert decided(usual(bad=3)) == []  # 30 % of the budget, every month


def test_half_gone_in_the_first_half() -> None:
    history = usual(bad=2)
    worse(history, OCTOBER + 3 * DAY, 700)
    assert decided(history) == [HALF]
    (one,) = packed(history).decisions
    assert one.because.startswith("Half of the month's budget was gone on 4 October, with 27 d")


def test_half_gone_in_the_second_half() -> None:
    history = usual(bad=2)
    worse(history, OCTOBER + 20 * DAY, 700)
    assert decided(history) == []


def test_all_gone() -> None:
    history = usual(bad=2)
    for day in (10, 12):
        worse(history, OCTOBER + day * DAY, 900)
    assert decided(history) == [ALL]
    (one,) = packed(history).decisions
    assert "of the budget of the 28 d to 31 October is gone; the incident on 13 October (1 h) spent 73 %" in one.because


def test_all_gone_and_back_within_the_objective() -> None:
    history = usual(bad=2)
    for hours in (0, 6):
        worse(history, OCTOBER + hours * HOUR, 900)
    assert decided(history) == [REVIEW]


def test_always_met_and_never_met() -> None:
    assert decided(usual()) == [SPARE]
    assert decided(usual(bad=12)) == [ALL, NEVER]
    history = usual(bad=12)
    history.promise("api", "98/100", since=utc("2026-10-31 00:00"))  # lowered already
    assert NEVER not in decided(history)
    assert decided(usual(since=utc("2026-09-01 00:00"))) == []  # two months are no three


def test_a_month_that_runs_is_judged_by_the_months_before_and_by_what_is_to_come() -> None:
    history = usual(until=utc("2026-11-05 00:00"))
    assert decided(history, "2026-11") == [SPARE]
    worse(history, utc("2026-11-03 00:00"), 700)  # four days have a budget of 160, the month is likely to have 1200
    assert decided(history, "2026-11") == [HALF]
    worse(history, utc("2026-11-04 00:00"), 500)  # more than the 1120 of the last 28 days
    assert decided(history, "2026-11") == [ALL]


def test_too_few_events_decide_nothing() -> None:
    history = History()
    history.promise("api", "99/100")
    history.asked("api", JULY, NOVEMBER)
    history.count("api", OCTOBER, 0, 50)
    pack = packed(history)
    assert only(pack).state is State.TOO_FEW
    assert pack.decisions == ()


def test_a_state_that_is_not_that_of_the_month_before() -> None:
    history = usual(bad=3)
    worse(history, OCTOBER + 25 * DAY, 999)
    assert packed(history).changes == ("shop api is broken; in September it was kept.",)


# Files


def test_a_corrupt_file_is_named_and_its_month_is_unknown_not_silent(tmp_path: Path) -> None:
    history = usual()
    history.write(tmp_path)
    (path,) = tmp_path.glob("v1/sli/*/system=shop/month=2026-10/rows.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b""
    path.write_bytes(bytes(data))
    from tocsin.history.engine import open_duckdb
    from tocsin.history.folder import Folder

    pack = make_pack(open_duckdb(Folder(tmp_path)), "2026-10", "prod", "UTC", None, NOW)
    assert only(pack).state is State.UNKNOWN
    assert only(pack).trend[-1] == ("2026-09", Fraction(1))
    assert pack.gaps[0].where.endswith("month=2026-10/rows.parquet")
    assert "could not be read" in pack.gaps[0].what
    assert [gap.where for gap in pack.gaps[1:]] == ["shop: api"]


def test_actions_are_carried(tmp_path: Path) -> None:
    path = tmp_path / "actions.toml"
    path.write_text(
        '[retries]\nwhat = "x"\nowner = "payments"\ndue = 2026-10-20\ndecided = "2026-09"\n', encoding="utf-8"
    )
    (one,) = make_pack(usual().in_memory(), "2026-10", "prod", "UTC", None, NOW, actions=path).actions
    assert one.overdue
    assert make_pack(usual().in_memory(), "2026-10", "prod", "UTC", None, NOW, actions=tmp_path / "no").actions == ()
