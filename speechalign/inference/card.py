"""The model card of an exported adapter: what it is, how to use it, and what was measured.

No number stands in it that is not of the model's description or of the results that are given.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from speechalign.evaluation import tables
from speechalign.evaluation.presets import TRANSCRIBED
from speechalign.languages import language, names
from speechalign.models.base import Base, Place, place_of
from speechalign.version import __version__

PAPER = "https://arxiv.org/abs/2511.09232"
TASKS = {
    "st": "translate it into {target}",
    "asr": "transcribe it",
    "srt": "transcribe it and translate it into {target} at once",
}
WHERE: dict[Place, str] = {
    "package": "travels with `speechalign`",
    "folder": "**a folder of the machine that this was exported on**",
    "hub": "[Hugging Face Hub](https://huggingface.co/{path})",
}
USE = """```python
from speechalign import Translator

translator = Translator.from_pretrained("{name}")
answer = translator.translate("speech.wav", to="{target}")
print(answer.language, answer.text)
```

On the command line: `speechalign translate speech.wav --checkpoint {name}`."""
NO_RESULTS = """No results were given when this model was exported, so this card has none.
To measure it: `speechalign evaluate --checkpoint {name} --data CORPUS --output-dir RESULTS`."""
LIMITS = """- Answers can be wrong or made up, above all for noise, music, several voices at once,
  and languages or topics unlike those of the training.
- {zero_shot}
- It hears {window:.0f} s of speech at once; longer recordings are cut at pauses.
- It inherits whatever biases its encoder and its LLM have, and is of use with these two only:
  another model in the place of one is refused."""
SOURCE = """Made with `speechalign` {version}, an independent implementation of POTSA, a framework
that aligns speech across languages by optimal transport ([arXiv 2511.09232]({paper}))."""


class Told(NamedTuple):
    """What a card is written from."""

    name: str  # Hub id or name of the folder
    bases: Mapping[str, Base]  # encoder and llm
    tasks: Sequence[str]
    trained: Sequence[str]  # codes of languages
    zero_shot: Sequence[str]
    target: str
    weights: int  # numbers that are stored
    window: float  # seconds
    results: Mapping[str, Any] | None  # what metrics.json of an evaluation holds
    licence: str | None  # as the Hub calls it

    def local(self) -> list[str]:
        """Name the frozen parts that are folders of this machine."""
        return [part for part, base in self.bases.items() if place_of(base.path) == "folder"]


def card(told: Told) -> str:
    """Write the card: front matter that the Hub understands, then text for people."""
    sections = {
        "What it is": what_it_is(told),
        "How to use it": USE.format(name=told.name, target=told.target),
        "Results": results(told),
        "Limits": limits(told),
        "Source": SOURCE.format(version=__version__, paper=PAPER)
        + ("" if told.licence else " No licence was given for its weights."),
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    head = front_matter(told).to_yaml(line_break="\n")
    return f"---\n{head}\n---\n\n# {told.name}\n\n{text}\n"


def front_matter(told: Told) -> ModelCardData:
    """Tell the Hub what it lists models by."""
    spoken = [*told.trained, *told.zero_shot, told.target]
    hub = [base.path for base in told.bases.values() if place_of(base.path) == "hub"]
    measured = [] if told.results is None else model_index(told.results)
    return ModelCardData(
        model_name=told.name.rsplit("/", 1)[-1],
        language=list(dict.fromkeys(language(code).iso639_1 or code for code in spoken)),
        license=told.licence,
        library_name="speechalign",
        pipeline_tag="automatic-speech-recognition",
        tags=["speech-translation", "translation", "audio"],
        base_model=hub or None,
        base_model_relation="adapter" if hub else None,
        metrics=list(dict.fromkeys(one.metric_type for one in measured)) or None,
        eval_results=measured or None,
    )


def model_index(results: Mapping[str, Any]) -> list[EvalResult]:
    """Tell every score of every pair of languages, with its signature and its interval."""
    data = results["data"]
    corpus = corpus_name(data)
    return [
        EvalResult(
            task_type="automatic-speech-recognition" if name in TRANSCRIBED else "translation",
            task_name=tables.title(pair),
            dataset_type=corpus,
            dataset_name=corpus,
            dataset_config=pair,
            dataset_split=data.get("split"),
            dataset_revision=data.get("revision"),
            metric_type=name,
            metric_name=tables.label(name),
            metric_value=score["value"],
            metric_args={
                "signature": score["signature"],
                **({"interval_95": [score["low"], score["high"]]} if "low" in score else {}),
            },
        )
        for pair, found in results["pairs"].items()
        for name, score in found["scores"].items()
    ]


def corpus_name(data: Mapping[str, Any]) -> str:
    """Call a corpus by the end of its place: the rest is of one machine alone."""
    return PurePath(str(data.get("corpus") or "unnamed")).name


def what_it_is(told: Told) -> str:
    """Say what was trained, on what, between which frozen models."""
    into = language(told.target).name
    tasks = ", ".join(TASKS[task].format(target=into) for task in told.tasks)
    rows = [
        f"| {part} | `{base.path}` | {base.revision or '-'} | `{base.sha256}` | "
        f"{WHERE[place_of(base.path)].format(path=base.path)} |"
        for part, base in told.bases.items()
    ]
    lines = [
        "An adapter between a frozen speech encoder and a frozen large language model, which are "
        f"loaded beside it. Its {told.weights:,} weights were trained on speech in "
        f"{names(list(told.trained))}, to {tasks}.",
        "",
        "| frozen part | model | revision | SHA-256 of its weights | where it is |",
        "|---|---|---|---|---|",
        *rows,
    ]
    if told.local():
        lines += ["", f"Others cannot load it as it is: its {' and '.join(told.local())} is local."]
    return "\n".join(lines)


def results(told: Told) -> str:
    """Write the table of what was measured, with signatures; or say that nothing was given."""
    if told.results is None:
        return NO_RESULTS.format(name=told.name)
    data = told.results["data"]
    split, revision = data.get("split"), data.get("revision")
    where = f"`{corpus_name(data)}`" + (f", split {split}" if split else "")
    head, *rows = tables.rows_of(told.results)
    return "\n".join([
        f"On {where}{f', revision {revision}' if revision else ''}; in brackets, 95 % intervals by "
        "bootstrap over sentences; `strict` takes failed answers for empty ones.",
        "",
        line(head),
        line(["---", *["---:"] * (len(head) - 1)]),
        *map(line, rows),
        "",
        *(f"- `{signature}`" for signature in tables.signatures(told.results)),
    ])


def line(cells: Sequence[str]) -> str:
    """Write one line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def limits(told: Told) -> str:
    """Say what the model is not to be trusted with."""
    zero_shot = (
        f"It was not trained to understand {names(list(told.zero_shot))}; it answers all the same."
        if told.zero_shot
        else "What it makes of a language that it was not trained on is a guess."
    )
    return LIMITS.format(zero_shot=zero_shot, window=told.window)
