"""From requests to records: token ids, batches, and their execution whatever happens to single batches."""
