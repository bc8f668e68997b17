"""What training asks of a corpus beyond its recordings: its splits, and its texts without audio."""

from abc import abstractmethod

from speechalign.data.records import Source


class Corpus(Source):
    """A source whose texts can be read where the audio is absent, e.g. of the target language."""

    @abstractmethod
    def splits(self, language: str) -> list[str]:
        """List the splits that the corpus has of one language.

        Raises:
            UserError: If the corpus lacks the language.
        """

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to texts; where recordings of a sentence disagree the first counts.

        Raises:
            UserError: If the corpus lacks that language or split, or a record is malformed.
        """
        return {u.sentence_id: u.text for u in reversed(self.utterances(language, split))}
