"""What the notification system promises: the day's notifications are made, and users can read theirs."""

from tocsin import System, availability, completeness, discover, freshness, heartbeat, latency

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
            because="The page that shows notifications waits a second for them and then goes on without.",
        ),
        heartbeat(
            stack["FindDailyNotifications"],
            name="daily-run",
            tolerates="2h",
            because="A day without a run is a day on which nobody is notified of anything.",
        ),
        freshness(
            stack["GenerateMessage"],
            name="generation-freshness",
            below="30min",
            objective="99.5%",
            window="28d",
            because="Notifications found by the daily run are to be readable half an hour later.",
        ),
        completeness(
            stack["GenerateMessage"],
            name="generation-completeness",
            objective="99.9%",
            window="28d",
            minimum_bad_events=2,
            because="A dead-lettered message is a notification that none of its users gets; a single one can wait for a ticket.",
        ),
    ],
)
