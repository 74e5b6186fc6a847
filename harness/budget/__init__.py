"""From a compression ratio to a method's knobs, and whether knobs mean anything: what the methods share."""
