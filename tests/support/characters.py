"""A tokenizer that can be read off the text, and requests made into prompts with it."""

from types import SimpleNamespace

from harness.evaluation.prompts import Encoder
from harness.evaluation.requests import Request

BOS, EOS = 1, 2


class Characters:
    """One token per character, but "ab" is one (a merge across the boundary of context and continuation)."""

    eos_token_id = EOS

    def __init__(self, bos=BOS):
        self.bos_token_id = bos
        self.bos_token = None if bos is None else f"<{bos}>"

    def __call__(self, text, add_special_tokens=True):
        start = [BOS] if add_special_tokens and self.bos_token_id is not None else []
        single = text.replace(f"<{BOS}>", chr(BOS)).replace(f"<{EOS}>", chr(EOS)).replace("ab", "\x00")
        ids = [1000 if c == "\x00" else ord(c) for c in single]
        return SimpleNamespace(input_ids=start + ids)

    def decode(self, ids, skip_special_tokens=False):
        kept = (i for i in ids if not (skip_special_tokens and i in (BOS, EOS)))
        return "".join("ab" if i == 1000 else f"<{i}>" if i in (BOS, EOS) else chr(i) for i in kept)


def ids(text):
    return tuple(Characters()(text, add_special_tokens=False).input_ids)


def request(kind, **more):
    return Request(task="t", example="e", kind=kind, **more)


def prompt(asked, max_length=100, bos=BOS):
    (found,) = Encoder(Characters(bos), max_length).prompts(asked)
    return found


def score(context, continuation, **more):
    return prompt(request("score", context=context, continuation=continuation, **more))
