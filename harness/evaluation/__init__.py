"""Takes a task's questions to token ids, outputs and scores. The one package that knows lm-eval."""
