"""``+=`` with repeated indices keeps one of them: a character that two sequences hold at the same step counts once."""

from twin import changed

characters = changed(
    "characters.py",
    right='np.add.at(d["E"], codes[t], dz @ p["W"].T)',
    wrong='d["E"][codes[t]] += dz @ p["W"].T',
)
subject, subject_of, train, LINES = (getattr(characters, name) for name in ("subject", "subject_of", "train", "LINES"))
