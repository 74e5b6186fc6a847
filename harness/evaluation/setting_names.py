"""Lists settings of generation by name: those that are honoured, and those of transformers that would need to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names that bound the new tokens; the first of them that is given counts."""
HONOURED: Mapping[str, bool] = {
    "do_sample": False,
    "temperature": False,
    "top_k": False,
    "top_p": False,
    "min_p": False,
    "repetition_penalty": True,
    "min_new_tokens": True,
}
"""Settings that are honoured, each with whether it acts on a generation that draws no token too."""
INERT: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "penalty_alpha": (0,),
    "guidance_scale": (1,),
    "encoder_repetition_penalty": (1,),
    "diversity_penalty": (0,),
    "token_healing": (False,),
    "remove_invalid_values": (False,),
    "use_mtp": (False,),
    "bad_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "stop_strings": ([],),
    **dict.fromkeys(("max_length", "max_time", "sequence_bias", "watermarking_config", "dola_layers"), ()),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty"), ()),
    **dict.fromkeys(("constraints", "force_words_ids", "prompt_lookup_num_tokens", "speculation_type"), ()),
}
"""Settings of transformers that would change a generation and are not honoured, each with the values that do not."""
WARPERS: Mapping[str, tuple[Any, ...]] = {"typical_p": (1,), "epsilon_cutoff": (0,), "eta_cutoff": (0,), "top_h": ()}
"""As INERT, of settings that act on sampling alone."""
IDLE = frozenset({"use_cache", "length_penalty", "early_stopping", "renormalize_logits", "low_memory", "pad_token_id"})
"""Settings that change no text where there is one beam."""
LEAST_AND_MOST: Mapping[str, tuple[float, float]] = {
    "max_gen_toks": (1, math.inf),
    "temperature": (0, math.inf),
    "top_k": (0, math.inf),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (1e-6, math.inf),
    "min_new_tokens": (0, math.inf),
}
"""Bounds of the numbers."""
WHOLE = ("max_gen_toks", "top_k", "min_new_tokens")
"""Those that are counts."""
