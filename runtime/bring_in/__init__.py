"""Usage out of files: CSV, NDJSON and Parquet, row by row through the gateway's public door."""
