"""What a run leaves on disk: raw outputs appended, who may write them, what each launch ran on. No torch here."""
