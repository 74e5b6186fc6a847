"""Predicts how long a sweep takes and how much memory it needs, by models fitted on measurements. No torch here."""
