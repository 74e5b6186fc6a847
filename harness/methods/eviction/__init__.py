"""Methods that drop tokens for good."""
