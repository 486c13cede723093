"""History: how often each promise was kept and what the alarms did, stored as Parquet and queried by SQL."""
