"""What is asked of the LLM and what it answers, in training and in inference alike."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from speechalign.errors import UserError

Task = Literal["asr", "st", "srt"]


@dataclass(frozen=True)
class PromptTemplates:
    """Templates of the three tasks, with `{source}` and `{target}` for language codes.

    asr: speech to transcript. st: speech to translation. srt: speech to transcript, tag and
    translation in one answer (the chain of thought of the paper's development code, where the tag
    is `<|st|>`). They are plain strings for the tokenizer, not added special tokens.

    Raises:
        UserError: If a template cannot be filled, or there is no tag to part an answer by.
    """

    asr: str = "<|{source}|><|asr|>"
    st: str = "<|{source}|><|st|><|{target}|>"
    srt: str = "<|{source}|><|srt|><|{target}|>"
    tag: str = "<|st|>"

    def __post_init__(self) -> None:
        """Try the templates: at the first batch it would be late."""
        for task in get_args(Task):
            try:
                self.prompt(task, "deu", "eng")
            except (LookupError, ValueError, AttributeError, TypeError) as error:
                raise UserError(
                    f"The prompt {task} is {asdict(self)[task]!r}; in braces there may be source or"
                    " target, and braces themselves are written {{ and }}."
                ) from error
        if not self.tag:
            raise UserError(
                "The prompts' tag is empty; give a text that parts transcript from translation."
            )

    def prompt(self, task: Task, source: str, target: str) -> str:
        """Write the prompt that follows the speech tokens."""
        return asdict(self)[task].format(source=source, target=target)

    def answer(self, task: Task, transcript: str, translation: str) -> str:
        """Write the answer that the LLM is to learn (without the end-of-sequence token)."""
        if task == "asr":
            return transcript
        return translation if task == "st" else f"{transcript}{self.tag}{translation}"

    def split(self, task: Task, answer: str) -> tuple[str | None, str | None]:
        """Take an answer apart into (transcript, translation).

        What the task does not yield is None. An srt answer without its tag counts as a transcript
        that was never translated: (answer, None).
        """
        if task == "asr":
            return answer.strip(), None
        if task == "st":
            return None, answer.strip()
        transcript, tag, translation = answer.partition(self.tag)
        return transcript.strip(), translation.strip() if tag else None
