"""Whether a text goes round in circles, whatever its script."""

import zlib

from speechalign.evaluation.failures import loops

SHORT = 16  # characters: "Yes, yes, yes!" is said by people too
# Of 300 sentences in each of 18 languages, alone and up to five together, none is above 1.37; a
# phrase said three times is above 1.47 even where it has two words only.
REPETITION = 1.42


def is_repetitive(text: str) -> bool:
    """Whether a text says something three times in a row, or a whole sentence twice."""
    return loops(text) or (len(text) >= SHORT and repetition(text) > REPETITION)


def repetition(text: str) -> float:
    """Tell how many times shorter a text becomes where what was said is referred to; 1: no shorter.

    Its letters are numbered as they appear and coded by how common they are, with references and
    without. Bytes would not do: in UTF-8, letters of one script have bytes in common, so that any
    text in Hindi seems to repeat itself.
    """
    # letters beyond 256 share numbers, by a hash: going round would itself be a repetition
    numbers = {
        letter: number if number < 256 else zlib.crc32(letter.encode()) % 256
        for number, letter in enumerate(dict.fromkeys(text))
    }
    content = bytes(numbers[letter] for letter in text)
    return deflated(content, zlib.Z_HUFFMAN_ONLY) / deflated(content, zlib.Z_DEFAULT_STRATEGY)


def deflated(content: bytes, strategy: int) -> int:
    """Count the bytes of what is compressed, without a header."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return len(coder.compress(content) + coder.flush())
