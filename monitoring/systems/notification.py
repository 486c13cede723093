"""What the notification system promises: the day's notifications are made, and users can read theirs."""

from tocsin import (
    System,
    availability,
    completeness,
    counted,
    discover,
    freshness,
    heartbeat,
    latency,
    override,
    report,
    succeeded,
)

stack = discover("deploy/notification/template.yaml")

system = System(
    name="notification",
    owner="engagement",
    description="Once a day, works out who is to be notified of what, and serves each user's notifications over an API.",
    resources=stack,
    slos=[
        availability(
            stack["NotificationsApi"],
            name="api-availability",
            objective="99.9%",
            window="28d",
            because="Users see an empty page when their notifications cannot be read.",
        ),
        latency(
            stack["NotificationsApi"],
            name="api-latency",
            below="800ms",
            objective="99%",
            window="28d",
            minimum_bad_events=50,
            because="The page that shows notifications waits a second for them and then goes on without. The first call of "
            "a new instance takes over a second: two such starts an hour are 48 slow answers a day, and no news however "
            "few the other calls are; 50 are.",
        ),
        heartbeat(
            stack["MessageGenerator"],
            name="daily-run",
            every="1d",
            tolerates="2h",
            measure=succeeded(
                "RunCompleted",
                namespace="Notification",
                # The generator reports it with the last message of a day, the finder on a day without any.
                reported_by=[stack["MessageGenerator"], stack["FindDailyNotifications"]],
                share_of="days whose notifications are all readable by 06:30",
            ),
            because="The day's notifications are to be readable by 06:30 UTC, and the run starts at 04:30; without it nobody "
            "is notified of anything. A missed or failed day pages 26 to 28 hours after the day before was done; in which "
            "minute of the hour, AWS does not say: in the hour from 07:00 if that was before 05:00, from 08:00 if before "
            "06:00, from 09:00 if before 07:00, and from 23:00 if it was mended by hand at 20:00. One dead letter keeps a day from being done, so it pages too. A day that is mended "
            "on a later one does not count.",
        ),
        freshness(
            stack["MessageGenerator"],
            name="readable-in-time",
            objective="99.9%",
            window="28d",
            minimum_bad_events=1000,
            measure=counted(
                namespace="Notification",
                good="RecordsOnTime",
                bad="RecordsLate",
                share_of="users' notifications that are readable by 06:30",
            ),
            because="Users look at their phones from 06:30 UTC on; what is written later is missing then. "
            "This tells of a run that is late while it is still writing, the daily run of one that never ends. Fewer than a "
            "thousand wake nobody, such as those of one notification that is sent back from the dead-letter queue; records "
            "of another day than today do not count.",
        ),
        freshness(
            stack["GenerateMessage"],
            name="generation-freshness",
            below="75min",
            objective="99.5%",
            window="28d",
            because="The run begins at 04:30 and has two hours. The most that a day may hold takes 50 minutes; messages that "
            "have waited for 75 say before 06:00 what would be late at 06:30.",
        ),
        completeness(
            stack["GenerateMessage"],
            name="generation-completeness",
            objective="99.9%",
            window="28d",
            minimum_bad_events=2,
            because="A dead-lettered message is a notification that some or all of its users do not get. A single one opens a "
            "ticket and does not page here, but it keeps the day from being done, so that daily-run pages from 07:00 on "
            "unless it is mended before.",
        ),
    ],
    reports=[
        report(stack["FindDailyNotifications"], "NotificationsDue", namespace="Notification"),
        report(stack["MessageGenerator"], "NotificationsGenerated", "UsersReached", namespace="Notification"),
        report(stack["MessageGenerator"], "SecondsToReadable", namespace="Notification", unit="Seconds"),
    ],
    overrides=[
        override(
            kind,
            stack["ValidationRule"],
            enabled=False,
            because="Validation sends the event and waits for its outcome.",
        )
        for kind in ("events-rule-failed", "events-rule-throttled")
    ],
)
