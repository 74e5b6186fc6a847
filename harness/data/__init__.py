"""Rows of data sets: from the hub, from local parquet files, or from the corpus that belongs to the project."""
