"""The fields of a request, as OpenAI's API names them, read into what is wanted of a model.

A field that is unknown or cannot be followed is refused, so that nobody takes an answer for what it
is not. Those that cannot do harm are taken, and the answer says that they had no effect.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast, get_args

from speechalign.errors import UserError
from speechalign.inference.asking import Question, Wanted
from speechalign.inference.manner import Manner
from speechalign.inference.serving.batching import Asked
from speechalign.inference.serving.errors import RefusalError
from speechalign.inference.translator import Translator
from speechalign.languages import Language, language

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
Granularity = Literal["segment", "word"]
GRANULARITIES = "timestamp_granularities[]"
FIELDS = {
    "model": "Name of the model, as `GET /v1/models` tells it.",
    "language": "Of the speech, by any code (`de`, `deu`, `de_de`); absent: guessed.",
    "prompt": "Accepted, but without effect: the model takes none.",
    "response_format": "json (default), text, srt, vtt or verbose_json.",
    "temperature": "That of the server's decoding, or absent.",
    GRANULARITIES: "segment (default) and word, of verbose_json.",
    "stream": "true: events while segments are understood, of json and text.",
    "chunking_strategy": "auto: recordings are always cut at pauses.",
}
TO = {"to": "Language of the translation, by any code; absent: the model's own."}
FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


class Wish(NamedTuple):
    """What one request wants."""

    asked: Asked
    form: Format
    granularities: frozenset[str]
    stream: bool
    cautions: tuple[str, ...]  # what the client should know of the answer

    @property
    def wanted(self) -> Wanted:
        """Whether texts are transcripts or translations."""
        return self.asked.question.wanted

    @property
    def target(self) -> Language | None:
        """Language of translations; None: texts are in the language spoken."""
        told = language(self.asked.question.target)
        return told if self.wanted == "translation" else None


def fields_of(wanted: Wanted) -> dict[str, str]:
    """Tell the fields of a request beside the file, and what they are for."""
    return FIELDS | (TO if wanted == "translation" else {})


def read_wish(
    fields: Mapping[str, Sequence[str]], wanted: Wanted, translator: Translator, name: str
) -> Wish:
    """Read the fields of a form.

    Args:
        fields: Values by name, without the file.
        wanted: Whether the request is to be a transcript or a translation.
        translator: That will answer.
        name: By which it is served.

    Raises:
        RefusalError: If one is missing, unknown, told twice, or cannot be followed.
    """
    check_names(fields, fields_of(wanted))
    told = {key: values[0] for key, values in fields.items()}
    check_model(told.get("model", ""), name)
    source = spoken(told.get("language"), "language")
    target = spoken(told.get("to"), "to") or language(translator.target)
    form = cast(Format, choice("response_format", told.get("response_format", "json"), Format))
    granularities = frozenset(
        choice(GRANULARITIES, one, Granularity) for one in fields.get(GRANULARITIES, ())
    )
    stream = flag("stream", told.get("stream", ""))
    check_format(form, granularities, stream)
    check_temperature(told.get("temperature"), translator.decoding.temperature)
    choice("chunking_strategy", told.get("chunking_strategy", "auto"), Literal["auto"])
    if source is None and translator.model.bias is None:
        raise RefusalError(
            400, "This model cannot tell languages: say which one is spoken.", "language"
        )
    manner = Manner(words="word" in granularities or form in ("srt", "vtt"))
    asked = Asked(Question(translator.task_for(wanted), wanted, target.code), source, manner)
    ignored = ("The prompt had no effect: this model takes none.",) if told.get("prompt") else ()
    cautions = (*translator.cautions(wanted, target, source), *ignored)
    return Wish(asked, form, granularities or frozenset({"segment"}), stream, cautions)


def check_names(fields: Mapping[str, Sequence[str]], known: Mapping[str, str]) -> None:
    """See that all fields are known, and told once.

    Raises:
        RefusalError: If one is not.
    """
    for name, values in fields.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]!r}? Or " if near else ""
            raise RefusalError(
                400,
                f"Unknown field {name[:64]!r}: {meant}use some of file, {', '.join(known)}.",
                name[:64],
                "unknown_field",
            )
        if len(values) > 1 and name != GRANULARITIES:
            raise RefusalError(400, f"`{name}` was sent {len(values)} times: send it once.", name)


def check_model(told: str, name: str) -> None:
    """See that the model is the one that is served.

    Raises:
        RefusalError: If it is not.
    """
    if not told:
        raise RefusalError(400, f"`model` is missing: send {name!r}.", "model", "missing_model")
    if told != name:
        raise RefusalError(
            404,
            f"The model {told[:64]!r} is not served here: send {name!r}.",
            "model",
            "model_not_found",
        )


def spoken(code: str | None, field: str) -> Language | None:
    """Look a language up; none, if the field is absent or says `auto`.

    Raises:
        RefusalError: If it is unknown.
    """
    if code is None or not code.strip() or (field == "language" and code == "auto"):
        return None
    try:
        return language(code[:64])
    except UserError as error:
        raise RefusalError(400, str(error), field, "unknown_language") from error


def choice(field: str, told: str, choices: object) -> str:
    """Take a word that must be one of some.

    Raises:
        RefusalError: If it is not.
    """
    known = get_args(choices)
    if told not in known:
        raise RefusalError(
            400, f"`{field}` is {told[:64]!r}: give {' or '.join(map(repr, known))}.", field
        )
    return told


def flag(field: str, told: str) -> bool:
    """Read true or false.

    Raises:
        RefusalError: If it is neither.
    """
    if told.lower() not in FLAGS:
        raise RefusalError(400, f"`{field}` is {told[:64]!r}: give true or false.", field)
    return FLAGS[told.lower()]


def check_format(form: Format, granularities: frozenset[str], stream: bool) -> None:
    """See that a format can say what is asked for.

    Raises:
        RefusalError: If it cannot.
    """
    if granularities and form != "verbose_json":
        raise RefusalError(
            400,
            f"`{GRANULARITIES}` is of no use to {form}: send `response_format` verbose_json.",
            GRANULARITIES,
        )
    if stream and form not in ("json", "text"):
        raise RefusalError(
            400, f"{form} cannot be streamed: send `response_format` json or text.", "stream"
        )


def check_temperature(told: str | None, ours: float) -> None:
    """See that the temperature is the server's, which decodes requests together.

    Zero is OpenAI's default, and what clients send who want the likeliest answer.

    Raises:
        RefusalError: If it is another, or no number.
    """
    try:
        asked = ours if told is None else float(told)
    except ValueError:
        asked = float("nan")
    if asked != ours:
        raise RefusalError(
            400,
            f"`temperature` is {str(told)[:64]!r}, but this server decodes at {ours:g}: send that"
            " or none.",
            "temperature",
        )
