"""Reads rows of data sets: from the hub, from local parquet files, or from the project's own corpus."""
