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
            minimum_bad_events=5,
            because="A file that is rejected, or that a container task gave up, is missing from every report until somebody "
            "has mended it. Up to four are their senders' business and wake nobody.",
        ),
        availability(
            stack["Loader"],
            name="load-runs",
            objective="99%",
            window="28d",
            minimum_bad_events=4,
            because="A load that ends in an error says nothing of its file: when the database cannot be reached, "
            "no file is loaded and none is rejected. The three tries of one file wake nobody. Lambda reports an error with "
            "the time its run began: runs that fail after five minutes or more are past the short window of the first tier, "
            "and page by the second, which looks back half an hour.",
        ),
        completeness(
            stack["Loader"],
            name="rows-complete",
            objective="99.8%",
            window="28d",
            measure=counted(
                namespace="DataPipeline",
                valid="RowsRead",
                bad="RowsRejected",
                share_of="rows of loaded files that keep to their table's contract",
            ),
            minimum_bad_events=1000,
            because="Rows in quarantine are missing from sums and averages, and no report says so. A file with up to 1 % of them "
            "is loaded, so that much pages nobody (a page takes 1.12 %, which only a contract that allows more can reach); "
            "thousands of them are a ticket for the sender. Rows of rejected files are not counted here: load-success counts the files.",
        ),
        freshness(
            stack["Loader"],
            name="load-freshness",
            below="15min",
            objective="95%",
            window="28d",
            measure=ranked(
                "SecondsToQueryable",
                unit="Seconds",
                namespace="DataPipeline",
                share_of="files that the function loads and that are queryable a quarter of an hour after they arrived",
            ),
            because="Reports are refreshed every quarter of an hour. A usual file takes seconds, the largest that the function "
            "loads all of its 15 minutes; what is larger goes to a container task and is promised no time.",
        ),
    ],
    reports=[
        report(stack["Loader"], "RowsLoaded", namespace="DataPipeline"),
        report(stack["Loader"], "SecondsToQueryableByTask", namespace="DataPipeline", unit="Seconds"),
    ],
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
