"""What can be asked for: each option is declared once, on a field of a record.

`option` says what a field tells of its option, `command` makes a command's parameters of records and records of its
words, `words` writes a record back into words. The records are `measuring`, `recipe`, `publication`, `base` and
`building`; a further option is a field of one of them.
"""
