"""`kill -9` of the daemon in every phase of a pull: nothing that was reported is ever lost.

`launcher` runs the real daemon and kills it where its `Plan` says; `harness` starts it over and
over on one journal, and looks at what is left; `python -m tests.kill` prints the histogram.

`edits` kills it while edits flow through (`--edits`); `losing` lets a power failure eat the writes
that were not synced (`--lost-writes`). `signing` kills it while a zone is signed and its keys roll,
before a validator's eyes (`chain`; `--signing`).
"""
