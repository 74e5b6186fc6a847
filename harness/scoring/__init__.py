"""The seam to lm-eval: its tasks become requests, its scorer gets replayed answers. Nothing else imports it."""
