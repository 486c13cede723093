"""The functions of the data pipeline, and the container task that does the loader's work for large files."""
