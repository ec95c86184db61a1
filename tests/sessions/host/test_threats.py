"""The threat model says of each sentence which test tries it, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
THREATS = ROOT / "docs" / "explanation" / "threats.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`$")


def test_each_sentence_names_a_test_that_exists_or_says_that_none_does() -> None:
    sentences = [line for line in THREATS.read_text().splitlines() if line.startswith("* ")]
    assert len(sentences) > 40
    tried = 0
    for sentence in sentences:
        if sentence.endswith(("*not tested*", "see below.")):
            continue
        named = TEST.search(sentence)
        assert named is not None, f"names no test: {sentence}"
        path, name = named.groups()
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"not there: {sentence}"
        tried += 1
    assert tried > len(sentences) / 2
