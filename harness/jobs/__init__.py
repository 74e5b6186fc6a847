"""One model on one task, from its configuration to its tables; and what a person sees of that."""
