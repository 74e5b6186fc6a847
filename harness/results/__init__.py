"""What a run leaves behind: raw outputs first, tables derived from them."""
