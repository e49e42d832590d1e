"""What `transformers` says about small models, kept in files, and those models made again without it.

The page is docs/goldens.md.
"""
