"""Judges the files that come with a model before any other library reads them, in this order.

`files` what lies in a folder, `json_files` and `settings` what its JSON says, `weights` what its weights hold, and
`building` how large the model is that the configuration describes. Nothing here knows transformers.
"""
