"""Text to syntax tree: lexer, parser (a module for each part of the grammar) and the tree, ``ast``.

A file that exists only as a descriptor becomes a tree here, too. Nothing knows positions: see ``locate``.
"""
