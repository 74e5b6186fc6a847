"""Tokenizers and settings of generation that lie, and chat templates without an end: each is one sentence, soon."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_folders import copy_of, everything, lie, refused, spec

from harness.errors import InputError
from harness.evaluation import chat, deadline
from harness.evaluation.chat import ChatTemplate
from harness.evaluation.prompts import Encoder
from harness.evaluation.requests import Request
from harness.hf import find

ODD = [-1, 0, 7, 1.5, 10**12, 10**30, math.inf, "", "x", None, True, [], {}, ["x"], {"a": 1}, [[]], "\ud800"]
TOKENIZER = """model_max_length bos_token eos_token pad_token unk_token tokenizer_class added_tokens_decoder auto_map
additional_special_tokens extra_special_tokens chat_template padding_side truncation_side fast_tokenizer_files
clean_up_tokenization_spaces add_bos_token init_inputs vocab_file tokenizer_file name_or_path add_prefix_space
backend split_special_tokens model_input_names legacy use_default_system_prompt sp_model_kwargs""".split()
GENERATION = """eos_token_id bos_token_id pad_token_id max_new_tokens max_length temperature top_p top_k do_sample
num_beams repetition_penalty stop_strings suppress_tokens bad_words_ids cache_implementation custom_generate
transformers_version min_length forced_eos_token_id watermarking_config""".split()
REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False}


@pytest.fixture
def folder(tiny):
    """A copy of the tiny model."""
    with copy_of(tiny) as copied:
        yield copied


def request(text):
    """A question for a few tokens."""
    return Request(task="t", example=0, kind="generate", context=text, until=(), max_new=4)


@settings(max_examples=60)
@given(said=st.dictionaries(st.sampled_from(TOKENIZER), st.sampled_from(ODD), min_size=1, max_size=2))
def test_whatever_a_tokenizers_settings_say_it_encodes_or_is_refused_by_name(tiny, said):
    with copy_of(tiny) as folder:
        lie(folder, "tokenizer_config.json", **said)
        try:
            checkpoint = find(spec(folder))
            Encoder(checkpoint.tokenizer(), 64).prompts(request("Who?"))
        except InputError as error:
            assert str(error).startswith(("model 'liar': ", "the tokenizer ", "an empty prompt"))


@settings(max_examples=60)
@given(said=st.dictionaries(st.sampled_from(GENERATION), st.sampled_from(ODD), min_size=1, max_size=2))
def test_whatever_settings_of_generation_say_they_are_honoured_or_refused(tiny, said):
    with copy_of(tiny) as folder:
        lie(folder, "generation_config.json", **said)
        checkpoint = find(spec(folder))
        try:
            Encoder(checkpoint.tokenizer(), 64, checkpoint.generation()).prompts(request("Who?"))
        except InputError as error:
            assert str(error)


@pytest.mark.parametrize("file", ["tokenizer.json", "special_tokens_map.json", "added_tokens.json"])
@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": []}', "[" * 10**5, '{"version": "1.0", "model": {}}'])
def test_a_damaged_file_of_a_tokenizer_is_a_tokenizer_or_one_sentence(folder, file, content):
    (folder / file).write_text(content)
    try:
        everything(folder)
    except InputError as error:
        assert str(error).startswith("model 'liar': ")


def test_a_library_that_breaks_down_over_a_tokenizer_is_one_sentence(folder):
    post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "no", "type_id": 0}}], "pair": []}
    lie(folder, "tokenizer.json", post_processor={**post, "special_tokens": {}})
    assert "no usable tokenizer at" in refused(folder, everything)


def test_a_pattern_without_an_end_is_one_sentence_about_the_text(folder):
    lie(folder, "tokenizer.json", pre_tokenizer=REGEX)
    encoder = Encoder(find(spec(folder)).tokenizer(), 4096)
    with pytest.raises(InputError, match=r"breaks down over a text of 100 characters \(.*model.tokenizer=FOLDER"):
        encoder.prompts(request("a" * 100))


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (ENDLESS, "fails .it takes more than 0.05 s"),
        ("{{ 1 / 0 }}", "fails .division by zero"),
        ("{{ range(10**9) | list }}", "fails .Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "fails .maximum recursion depth"),
        ("{{ messages.foo.bar }}", "refuses the messages"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "refuses the messages .access to attribute '__class__'"),
        ("{{ messages.append(1) }}", "refuses the messages"),
        ("{% if %}", "refuses the messages"),
    ],
)
def test_a_template_that_fails_or_would_get_out_of_its_sandbox_is_one_sentence(folder, monkeypatch, template, why):
    monkeypatch.setattr(chat, "PATIENCE", 0.05 if template == ENDLESS else 20)
    lie(folder, "tokenizer_config.json", chat_template=template)
    tokenizer = find(spec(folder)).tokenizer()
    with pytest.raises(InputError, match=f"^the chat template {why}"):
        ChatTemplate(tokenizer)([{"role": "user", "content": "?"}])


def test_what_ends_in_time_is_returned_or_raised():
    assert deadline.within(20, lambda: 5) == 5
    with pytest.raises(KeyError, match="x"):
        deadline.within(20, lambda: {}["x"])
