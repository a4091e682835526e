"""Makes nlu_data/danger/traditional.yaml again: the traditional characters of what the lexicon is written in (OpenCC, Apache-2.0)."""

from pathlib import Path

import opencc

FOLDER = Path(__file__).resolve().parent.parent / "nlu_data" / "danger"
HEAD = "# Traditional characters of the words in this lexicon, so that 農藥 is read as 农药. Made by tools/traditional.py.\n\ntraditional:\n"

converter = opencc.OpenCC("t2s")
used = {
    char
    for path in FOLDER.glob("*.yaml")
    if path.name != "traditional.yaml"
    for char in path.read_text("utf-8")
}
pairs = [(char, converter.convert(char)) for char in map(chr, range(0x4E00, 0xA000))]
lines = [f"  {old}: {new}\n" for old, new in pairs if old != new and len(new) == 1 and new in used]
(FOLDER / "traditional.yaml").write_text(HEAD + "".join(lines), "utf-8")
