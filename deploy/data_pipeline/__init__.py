"""CSV files from a bucket into PostgreSQL."""
