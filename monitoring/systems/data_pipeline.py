"""What the data pipeline promises: a file that is put into the bucket is in the database soon, and whole."""

import tomllib
from pathlib import Path

from tocsin import System, availability, discover, latency

# Thresholds are shares of what the database and the loader have in production.
production = tomllib.loads(
    Path(__file__).parents[2].joinpath("deploy", "environments.toml").read_text(encoding="utf-8")
)["prod"]["data_pipeline"]
stack = discover("deploy/data_pipeline/template.yaml", {name: str(value).lower() for name, value in production.items()})

system = System(
    name="data_pipeline",
    owner="data-platform",
    description="Loads every CSV file that is put into a bucket into PostgreSQL.",
    resources=stack,
    slos=[
        availability(
            stack["Loader"],
            name="load-success",
            objective="99%",
            window="28d",
            because="A file that is not loaded is missing from every report until somebody loads it by hand.",
        ),
        latency(
            stack["Loader"],
            name="load-time",
            below="1min",
            objective="95%",
            window="28d",
            because="Analysts refresh their reports a few minutes after they have put a file into the bucket.",
        ),
    ],
)
