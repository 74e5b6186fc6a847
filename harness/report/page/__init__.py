"""Makes the interactive page: one HTML file that opens from disk and asks no server for anything."""
