"""Dense here against lm-eval's own `hf` backend: tiny models x tokenizers x requests x settings.

models.py, tokenizers_by_hand.py and requests.py are tables; folders.py makes a checkpoint of an entry of each;
answers.py asks both sides and is the one comparison; document.py writes docs/conformance.md.
"""
