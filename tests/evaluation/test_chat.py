"""Questions put to a chat model are, to the token, those that lm-eval's own hf backend is asked."""

from types import SimpleNamespace

import pytest
from jinja2.exceptions import TemplateError
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from support.own_tasks import CHOICE, WRITE, write_task
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import InputError
from harness.evaluation.chat import Chat, ChatTemplate
from harness.evaluation.prompts import Encoder
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import Shipped, load_shipped

TURNS = "{% for m in messages %}[{{ m.role }}] {{ m.content }}</s>{% endfor %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
PROMPT = "{% if add_generation_prompt %}[assistant]{% endif %}"
TEMPLATES = {"bos": "<s>" + TURNS + PROMPT, "no bos": TURNS + PROMPT, "no system": NO_SYSTEM + TURNS + PROMPT}
WAYS = [
    {},
    {"system_instruction": "Be brief."},
    {"num_fewshot": 2},
    {"num_fewshot": 2, "fewshot_as_multiturn": False, "system_instruction": "Be brief."},
]


@pytest.fixture(scope="module")
def model(tiny):
    """The tiny model's weights."""
    return AutoModelForCausalLM.from_pretrained(tiny)


@pytest.fixture(params=TEMPLATES)
def hf(request, tiny, model):
    """lm-eval's hf backend of the tiny model, with a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = TEMPLATES[request.param]
    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=2)


def tokens_of(hf, kind, context, continuation):
    """Token ids that the backend feeds for a request: its prompt, and what it scores."""
    if kind == "generate":
        return tuple(hf.tok_batch_encode([context])[0][0].tolist()), None
    context_ids, continuation_ids = hf._encode_pair(context, continuation)
    return tuple(context_ids), tuple(continuation_ids)


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("kind", [WRITE, CHOICE, {**WRITE, "gen_prefix": "Answer:"}, {**CHOICE, "gen_prefix": "So,"}])
def test_chat_prompts_are_those_of_lm_evals_hf_backend_to_the_token(hf, tmp_path, kind, ways):
    write_task(tmp_path, "own", 3, kind, description="Of the mill.", fewshot_split="test")
    shots, multiturn = ways.get("num_fewshot"), ways.get("fewshot_as_multiturn", True)
    options = {"system_instruction": ways.get("system_instruction"), "fewshot_as_multiturn": multiturn}
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    options |= {"num_fewshot": shots, "apply_chat_template": True, "task_manager": manager, "bootstrap_iters": 0}
    samples = simple_evaluate(model=hf, tasks=["own"], **options)["samples"]["own"]
    theirs = {(args[0], args[1] if isinstance(args[1], str) else "") for s in samples for args in s["arguments"]}

    loaded = load_shipped(Shipped("own", include_path=str(tmp_path), num_fewshot=shots))
    chat = Chat(ChatTemplate(hf.tokenizer), ways.get("system_instruction"), ways.get("fewshot_as_multiturn"))
    requests = Suite(loaded.tasks, None, chat=chat).requests
    assert {(r.context, r.continuation) for r in requests} == theirs
    for request in requests:
        (prompt,) = Encoder(hf.tokenizer, 1024).prompts(request)
        wanted = tokens_of(hf, request.kind, request.context, request.continuation)
        assert (prompt.tokens, prompt.forced) == wanted


def test_a_template_without_a_system_role_drops_the_description_and_says_so(tmp_path):
    chat = Chat(ChatTemplate(_refusing("system")))
    write_task(tmp_path, "own", 1, description="Of the mill.")
    Suite(load_shipped(Shipped("own", include_path=str(tmp_path))).tasks, None, chat=chat)
    assert chat.notes() == [
        "the chat template takes no system message: the task's description is left out, as in lm-eval"
    ]


def test_a_system_instruction_that_the_template_refuses_is_an_error():
    chat = Chat(ChatTemplate(_refusing("system")), "Be brief.")
    chat.template([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}])
    with pytest.raises(InputError, match=r"leave system_instruction out"):
        chat.notes()


def test_messages_that_the_template_refuses_altogether_are_an_error():
    template = ChatTemplate(_refusing("user"))
    with pytest.raises(InputError, match=r"refuses the messages.*fewshot_as_multiturn=false"):
        template([{"role": "user", "content": "?"}])


@pytest.mark.parametrize(
    ("templates", "name", "said"),
    [
        (None, None, "has no chat template: leave apply_chat_template out"),
        ("one", "rag", "has no name: apply_chat_template=true takes it, not rag"),
        ({"rag": "x", "tool": "y"}, None, "no chat template 'default': apply_chat_template= one of rag, tool"),
        ({"default": "x"}, "rag", "no chat template 'rag'"),
    ],
)
def test_a_template_that_is_not_there_is_named(templates, name, said):
    with pytest.raises(InputError, match=said):
        ChatTemplate(SimpleNamespace(chat_template=templates), name)


def test_one_of_several_templates_is_chosen_by_its_name():
    said = SimpleNamespace(
        chat_template={"default": "x", "rag": "y"}, apply_chat_template=lambda _, chat_template, **__: chat_template
    )
    assert [ChatTemplate(said, name)([]) for name in (None, "rag")] == ["x", "y"]


def _refusing(role):
    """A tokenizer whose template refuses messages of a role."""

    def apply(messages, **_):
        if any(message["role"] == role for message in messages):
            raise TemplateError(f"no {role}")
        return "".join(message["content"] for message in messages)

    return SimpleNamespace(chat_template="one", apply_chat_template=apply)
