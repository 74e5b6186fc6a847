"""The tiny task that lm-eval's command line is asked, and which of lm-eval's own tasks are asked for."""

TASK = """
task: tiny_mill
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{text}}}}"
doc_to_target: "{{{{target}}}}"
metric_list: [{{metric: {metric}, aggregation: {aggregation}, higher_is_better: true}}]
generation_kwargs: {{until: [">"], max_gen_toks: 6, do_sample: false}}
metadata: {{version: 1.0}}
"""
ASKED = ("piqa", "wikitext")
"""Folders of lm-eval's own tasks."""
TEXTS = [f"Question {i}: " + " ".join(["what is at the mill before the feast?"] * (5 + i)) for i in range(4)]
