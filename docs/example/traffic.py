"""Prints what CloudWatch would have recorded of the checkout's API on a day on which some orders failed.

    python traffic.py 100 > outage.json

From 06:00 to 15:00 customers place 100 orders a minute.  From 12:00 to 12:20 the given share of them, in percent, is
answered with a server error.  The same share prints the same text.
"""

import json
import sys

START, FAULT, MENDED, END = 6 * 60, 12 * 60, 12 * 60 + 20, 15 * 60  # minutes of the day
ORDERS_A_MINUTE = 100


def series(metric: str, ones: list[int]) -> dict[str, object]:
    """One metric of the API.  Each order is a sample, 1 or 0; ``ones`` says for every minute how many were 1."""
    return {
        "Namespace": "AWS/ApiGateway",
        "MetricName": metric,
        "Dimensions": {"ApiName": "checkout"},
        "Period": 60,
        "Start": f"2026-03-02T{START // 60:02}:00:00Z",
        "StatisticSets": [
            {"SampleCount": ORDERS_A_MINUTE, "Sum": one, "Minimum": one // ORDERS_A_MINUTE, "Maximum": min(one, 1)}
            for one in ones
        ],
    }


def main() -> None:
    """Print the series, one a line."""
    share = float(sys.argv[1]) / 100
    failed = [round(ORDERS_A_MINUTE * share) if FAULT <= at < MENDED else 0 for at in range(START, END)]
    for one in (series("Count", [ORDERS_A_MINUTE] * len(failed)), series("5XXError", failed)):
        print(json.dumps(one))


if __name__ == "__main__":
    main()
