"""Which of many names and patterns fit a text: names by dict, patterns as compiled expressions, answers kept."""

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

_WILD = re.compile(r"[*?\[]")
# Callers choose the texts: so many answers are kept, then all are forgotten.
_MOST_KEPT = 4096
# Of a longer text its end counts: of a path, the file.
_LONGEST = 512
_NONE: frozenset[int] = frozenset()


@lru_cache(maxsize=8192)
def _expression(term: str) -> re.Pattern[str]:
    """Kept, since a file that changes has most of its patterns still."""
    return re.compile(translate(term))


def is_pattern(term: str) -> bool:
    """Whether it has one of the characters that stand for others: * ? [."""
    return bool(_WILD.search(term))


class Index:
    """`terms` by their number; an empty one fits nothing here. Capitals, and folders before a file, do not count."""

    def __init__(self, terms: Sequence[str]) -> None:
        self.terms = {at: _form(term) for at, term in enumerate(terms) if term}
        self._exact: dict[str, set[int]] = {}
        self._exact_ones: set[int] = set()
        self._answers: dict[str, frozenset[int]] = {}
        patterns: dict[int, str] = {}
        for at, term in self.terms.items():
            if is_pattern(term):
                patterns[at] = term
            else:
                self._exact.setdefault(term, set()).add(at)
                self._exact_ones.add(at)
        told = Counter(part for term in patterns.values() for part in _literals(term))
        self._patterns = [
            (at, min(_literals(term), key=lambda part: (told[part], -len(part))), _expression(term))
            for at, term in patterns.items()
        ]

    def is_exact(self, at: int) -> bool:
        """Whether that term is a name and no pattern."""
        return at in self._exact_ones

    def find(self, text: str) -> frozenset[int]:
        """The numbers of the terms that fit."""
        if not self.terms:
            return _NONE
        text = text[-_LONGEST:]
        answer = self._answers.get(text)
        if answer is None:
            answer = self._answer(_form(text))
            if len(self._answers) >= _MOST_KEPT:
                self._answers = {}
            self._answers[text] = answer
        return answer

    def _answer(self, text: str) -> frozenset[int]:
        texts = {text, text.rpartition("/")[2]}
        found = {at for form in texts for at in self._exact.get(form, ())}
        # Most patterns are ruled out by the part of them that is rarest, ten times as fast as by the expression.
        found |= {
            at
            for at, literal, pattern in self._patterns
            if literal in text and any(pattern.match(form) for form in texts)
        }
        return frozenset(found)


def _literals(term: str) -> set[str]:
    """Parts that are in every text the pattern fits."""
    return {part for part in re.split(r"[*?]", term.partition("[")[0]) if part} or {""}


def _form(text: str) -> str:
    return text.casefold().replace("\\", "/")
