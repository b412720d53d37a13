"""The log of a process: one JSON object a line, in a file of its own that rotates.

- ``redact``: what keeps secrets out of every text.
- ``json_lines``: a log record as a line.
- ``emf``: the same line as a CloudWatch metric.
- ``rotating``: the file, and what was lost while it could not be written.
- ``process_log``: a process's file, from its name to its last line.
"""
