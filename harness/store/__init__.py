"""Keeps on disk what a run leaves: raw outputs, who may write them, what each launch ran on. No torch here."""
