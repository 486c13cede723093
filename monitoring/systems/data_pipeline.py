"""What the data pipeline promises: a file that is put into the bucket is in the database soon, and whole."""

import tomllib
from pathlib import Path

from tocsin import System, availability, completeness, counted, discover, freshness, override, ranked, report

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
            measure=counted(
                namespace="DataPipeline", good="FilesLoaded", bad="FilesRejected", share_of="files that are loaded"
            ),
            because="A file that is rejected is missing from every report until its sender has mended it.",
        ),
        availability(
            stack["Loader"],
            name="load-runs",
            objective="99%",
            window="28d",
            minimum_bad_events=4,
            because="A load that ends in an error says nothing of its file: when the database cannot be reached, "
            "no file is loaded and none is rejected. The three tries of one file wake nobody.",
        ),
        completeness(
            stack["Loader"],
            name="rows-complete",
            objective="99.9%",
            window="28d",
            measure=counted(
                namespace="DataPipeline",
                valid="RowsRead",
                bad="RowsRejected",
                share_of="rows that keep to their table's contract",
            ),
            minimum_bad_events=1000,
            because="Rows in quarantine are missing from sums and averages, and no report says so. "
            "Fewer than a thousand of them can wait for the sender.",
        ),
        freshness(
            stack["Loader"],
            name="load-freshness",
            below="1min",
            objective="95%",
            window="28d",
            measure=ranked(
                "SecondsToQueryable",
                unit="Seconds",
                namespace="DataPipeline",
                share_of="files that are queryable a minute after they arrived",
            ),
            because="Analysts refresh their reports a few minutes after they have put a file into the bucket.",
        ),
    ],
    reports=[report(stack["Loader"], "RowsLoaded", namespace="DataPipeline")],
    overrides=[
        *(
            override(kind, stack["Probe"], enabled=False, because="Only validation calls it, and reports each failure.")
            for kind in ("lambda-function-errors", "lambda-function-throttles", "lambda-function-duration")
        ),
        *(
            override(
                kind,
                stack["Migrator"],
                enabled=False,
                because="Only a deployment calls it, which waits for the answer, and rolls back and says why when it fails.",
            )
            for kind in ("lambda-function-errors", "lambda-function-throttles")
        ),
    ],
)
