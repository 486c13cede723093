"""The Lambda function of the data pipeline."""
